// Columns of integers as byte planes (spec/format.md, section 7.1), taken from a payload one after
// another as doubles, rounded to nearest where they have more than 53 bits.

import { COLUMN_BYTES_MAX } from '../constants.ts';
import { DamagedError } from '../errors.ts';

/** Takes columns from a payload; faults name its section. */
export class ColumnReader {
  constructor(
    readonly data: Uint8Array,
    private position: number,
    private readonly section: string,
  ) {}

  /** Where the next column of `count` values of `width` planes starts. */
  skip(width: number, count: number): number {
    if (width > COLUMN_BYTES_MAX) throw new DamagedError(`a column of ${width} planes`, this.section);
    const start = this.position;
    this.position += width * count;
    if (this.position > this.data.length) {
      throw new DamagedError('the columns do not fit the payload', this.section);
    }
    return start;
  }

  /** The bytes after the columns that have been taken. */
  rest(): Uint8Array {
    return this.data.subarray(this.position);
  }

  /** Raises DamagedError unless every byte has been taken. */
  finish(): void {
    const left = this.data.length - this.position;
    if (left) throw new DamagedError(`${left} bytes behind the last column`, this.section);
  }
}

/** The unsigned column at `start`, into `out`. */
export function unsignedColumn(
  data: Uint8Array,
  start: number,
  width: number,
  count: number,
  out: Float64Array,
): void {
  if (width === 0) out.fill(0, 0, count);
  else if (width === 1) for (let i = 0; i < count; i++) out[i] = data[start + i]!;
  else if (width === 2) {
    const high = start + count;
    for (let i = 0; i < count; i++) out[i] = data[start + i]! | (data[high + i]! << 8);
  } else {
    for (let i = 0; i < count; i++) {
      const low = lowWord(data, start + i, width, count);
      out[i] = width > 4 ? low + highWord(data, start + i, width, count) * 2 ** 32 : low;
    }
  }
}

/** The signed column at `start`, into `out`: 2v for v >= 0, -2v - 1 below. */
export function signedColumn(
  data: Uint8Array,
  start: number,
  width: number,
  count: number,
  out: Float64Array,
): void {
  if (width === 0) out.fill(0, 0, count);
  else if (width === 1) {
    for (let i = 0; i < count; i++) {
      const value = data[start + i]!;
      out[i] = (value >> 1) ^ -(value & 1);
    }
  } else if (width === 2) {
    const high = start + count;
    for (let i = 0; i < count; i++) {
      const value = data[start + i]! | (data[high + i]! << 8);
      out[i] = (value >> 1) ^ -(value & 1);
    }
  } else {
    for (let i = 0; i < count; i++) {
      const low = lowWord(data, start + i, width, count);
      const high = width > 4 ? highWord(data, start + i, width, count) : 0;
      out[i] = unzigzag(low, high);
    }
  }
}

/** The signed integer whose unsigned form has these words. */
export function unzigzag(low: number, high: number): number {
  let halfLow = (low >>> 1) + (high & 1) * 2 ** 31;
  let halfHigh = high >>> 1;
  if ((low & 1) === 0) return halfHigh * 2 ** 32 + halfLow;
  halfLow += 1;
  if (halfLow === 2 ** 32) {
    halfLow = 0;
    halfHigh += 1;
  }
  return -(halfHigh * 2 ** 32 + halfLow);
}

/** The low 32 bits of the value whose first byte is at `place`. */
export function lowWord(data: Uint8Array, place: number, width: number, count: number): number {
  let word = 0;
  for (let plane = Math.min(width, 4) - 1; plane >= 0; plane--) {
    word = (word << 8) | data[place + plane * count]!;
  }
  return word >>> 0;
}

/** The bits of the value from the 32nd on. */
export function highWord(data: Uint8Array, place: number, width: number, count: number): number {
  let word = 0;
  for (let plane = width - 1; plane >= 4; plane--) {
    word = (word << 8) | data[place + plane * count]!;
  }
  return word >>> 0;
}

const scratches: Float64Array[] = [];

/** A buffer of at least `count` doubles, the same for the same number: short-lived values only. */
export function scratch(number: number, count: number): Float64Array {
  let buffer = scratches[number];
  if (!buffer || buffer.length < count) {
    buffer = new Float64Array(Math.max(count, 4096));
    scratches[number] = buffer;
  }
  return buffer;
}
