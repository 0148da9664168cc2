// Typed access to a MessagePack map from outside: every value is checked as it is taken.
// Tables are maps of columns, each the bytes of a little-endian array.

import { Float, MessagePackError, readMap, type Value, type ValueMap } from '../bytes/msgpack.ts';
import { HASH_BYTES, MAX_MAGNITUDE, MAX_TEXT_BYTES } from '../constants.ts';
import { DamagedError, LimitError } from '../errors.ts';
import type { Vec3 } from '../update.ts';

/** Type of the numbers of a column. */
export type ColumnType = 'u8' | 'u16' | 'u32' | 'u64' | 'f32';

const SIZES: Readonly<Record<ColumnType, number>> = { u8: 1, u16: 2, u32: 4, u64: 8, f32: 4 };
// All control characters but tab and line feed.
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;

/** A map of the index; every fault names its section. */
export class Fields {
  constructor(
    readonly values: ValueMap,
    readonly section: string,
  ) {}

  /** The map that `raw` holds; raises DamagedError. */
  static read(raw: Uint8Array, section: string): Fields {
    try {
      return new Fields(readMap(raw), section);
    } catch (error) {
      if (!(error instanceof MessagePackError)) throw error;
      throw new DamagedError(`MessagePack: ${error.message}`, section, { cause: error });
    }
  }

  damaged(problem: string): DamagedError {
    return new DamagedError(problem, this.section);
  }

  limit(problem: string): LimitError {
    return new LimitError(problem, this.section);
  }

  has(name: string): boolean {
    return this.values.has(name);
  }

  nested(name: string): Fields {
    const value = this.values.get(name);
    if (!(value instanceof Map)) throw this.wrong(name);
    return new Fields(value, this.section);
  }

  bytes(name: string): Uint8Array {
    const value = this.values.get(name);
    if (!(value instanceof Uint8Array)) throw this.wrong(name);
    return value;
  }

  text(name: string): string {
    const value = this.values.get(name);
    if (typeof value !== 'string') throw this.wrong(name);
    if (new TextEncoder().encode(value).length > MAX_TEXT_BYTES) {
      throw this.limit(`'${name}' is too long`);
    }
    if (CONTROL.test(value)) throw this.damaged(`'${name}' has control characters`);
    return value;
  }

  boolean(name: string): boolean {
    const value = this.values.get(name);
    if (typeof value !== 'boolean') throw this.wrong(name);
    return value;
  }

  integer(name: string, most: number): number {
    const value = this.values.get(name);
    if (typeof value !== 'number' && typeof value !== 'bigint') throw this.wrong(name);
    if (value < 0) throw this.damaged(`'${name}' is negative`);
    if (value > most) throw this.limit(`'${name}' is ${value}, the limit is ${most}`);
    return Number(value);
  }

  number(name: string): number {
    const value = toNumber(this.values.get(name));
    if (value === null) throw this.damaged(`'${name}' is missing or not a finite number`);
    return value;
  }

  vector(name: string): Vec3 {
    const value = this.values.get(name);
    if (!Array.isArray(value) || value.length !== 3) throw this.wrong(name);
    const [x, y, z] = value.map(toNumber) as [number | null, number | null, number | null];
    if (x === null || y === null || z === null) {
      throw this.damaged(`'${name}' is not three finite numbers`);
    }
    return [x, y, z];
  }

  /** A column with at most `most` rows. */
  column(name: string, type: ColumnType, most: number): Float64Array {
    const data = this.bytes(name);
    const size = SIZES[type];
    if (data.length % size) throw this.damaged(`column '${name}' is cut`);
    const rows = data.length / size;
    if (rows > most) throw this.limit(`${rows} rows in column '${name}', the limit is ${most}`);
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const column = new Float64Array(rows);
    for (let i = 0; i < rows; i++) column[i] = readNumber(view, i * size, type);
    return column;
  }

  /** Columns of equal length. */
  columns<Name extends string>(
    types: Readonly<Record<Name, ColumnType>>,
    most: number,
  ): Readonly<Record<Name, Float64Array>> & { readonly rows: number } {
    const columns: Record<string, Float64Array> = {};
    let rows = -1;
    for (const [name, type] of Object.entries<ColumnType>(types)) {
      const column = this.column(name, type, most);
      if (rows >= 0 && column.length !== rows) throw this.damaged('columns differ in length');
      rows = column.length;
      columns[name] = column;
    }
    return { ...columns, rows } as Readonly<Record<Name, Float64Array>> & { rows: number };
  }

  /** Boxes, one for each of `count` rows, from the columns `low` and `high`. */
  boxes(count: number): { low: Vec3; high: Vec3 }[] {
    const low = this.column('low', 'f32', 3 * count + 3);
    const high = this.column('high', 'f32', 3 * count + 3);
    if (low.length !== 3 * count || high.length !== 3 * count) {
      throw this.damaged(`the columns of boxes do not have ${count} rows`);
    }
    return Array.from({ length: count }, (_, row) => {
      for (let i = 3 * row; i < 3 * row + 3; i++) {
        if (!(Math.abs(low[i]!) <= MAX_MAGNITUDE) || !(Math.abs(high[i]!) <= MAX_MAGNITUDE)) {
          throw this.damaged('a box is not finite');
        }
        if (low[i]! > high[i]!) throw this.damaged('a box is upside down');
      }
      return { low: vec3(low, 3 * row), high: vec3(high, 3 * row) };
    });
  }

  /** Hashes, one for each of `count` rows. */
  hashes(count: number): Uint8Array[] {
    const data = this.bytes('hash');
    if (data.length !== count * HASH_BYTES) {
      throw this.damaged('the hash column has the wrong length');
    }
    return Array.from({ length: count }, (_, row) =>
      data.slice(row * HASH_BYTES, (row + 1) * HASH_BYTES),
    );
  }

  private wrong(name: string): DamagedError {
    return this.damaged(`'${name}' is missing or of the wrong type`);
  }
}

function toNumber(value: Value | undefined): number | null {
  const number = value instanceof Float ? value.value : value;
  if (typeof number === 'bigint') return Number(number);
  if (typeof number !== 'number' || !(Math.abs(number) <= MAX_MAGNITUDE)) return null;
  return number;
}

function readNumber(view: DataView, at: number, type: ColumnType): number {
  switch (type) {
    case 'u8':
      return view.getUint8(at);
    case 'u16':
      return view.getUint16(at, true);
    case 'u32':
      return view.getUint32(at, true);
    case 'f32':
      return view.getFloat32(at, true);
    case 'u64':
      return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
  }
}

function vec3(values: Float64Array, at: number): Vec3 {
  return [values[at]!, values[at + 1]!, values[at + 2]!];
}
