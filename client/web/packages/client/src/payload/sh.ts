// SH and BASIS payloads: view dependence as coefficients in bases fitted to the scene
// (spec/format.md, sections 7.4 and 7.5).

import {
  BASIS_HEAD_BYTES,
  MAX_BASES,
  MAX_MAGNITUDE,
  SH_HEAD_BYTES,
  SPARSE_COLUMN,
} from '../constants.ts';
import { DamagedError } from '../errors.ts';
import { checkSteps, clamp, fromHalf } from './numbers.ts';
import { ColumnReader, highWord, lowWord, scratch, signedColumn, unzigzag } from './reader.ts';

/** The bases that SH payloads are coded in. */
export interface Basis {
  readonly bases: number;
  readonly components: number;
  /** Length of a vector: three numbers for each SH coefficient. */
  readonly size: number;
  /** [basis][component][element]. */
  readonly rows: Float64Array;
}

/** Reads a BASIS payload; raises DamagedError. */
export function readBasis(data: Uint8Array, shDegree: number, section: string): Basis {
  if (data.length < BASIS_HEAD_BYTES) {
    throw new DamagedError('the payload is shorter than its head', section);
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const [components, size, bases] = [0, 2, 4].map((at) => view.getUint16(at, true)) as [
    number, number, number,
  ];
  if (size !== 3 * (shDegree + 1) ** 2 || components > size) {
    throw new DamagedError(`a basis of ${components} x ${size}`, section);
  }
  if (bases < 1 || bases > MAX_BASES) throw new DamagedError(`${bases} bases`, section);
  const count = bases * components * size;
  if (data.length !== BASIS_HEAD_BYTES + 2 * count) {
    throw new DamagedError('the bases do not fit their payload', section);
  }
  const rows = readRows(data.subarray(BASIS_HEAD_BYTES), count, section);
  return { bases, components, size, rows };
}

/** The basis of a PROXY's own, with the SH payload behind it; raises DamagedError. */
export function readOwnBasis(
  data: Uint8Array,
  components: number,
  shDegree: number,
  section: string,
): { basis: Basis; payload: Uint8Array } {
  const size = 3 * (shDegree + 1) ** 2;
  if (shDegree === 0 || components > size) {
    throw new DamagedError(`a basis of ${components} x ${size}`, section);
  }
  const count = components * size;
  if (data.length < 2 * count) throw new DamagedError('the basis is cut', section);
  const rows = readRows(data, count, section);
  return { basis: { bases: 1, components, size, rows }, payload: data.subarray(2 * count) };
}

function readRows(data: Uint8Array, count: number, section: string): Float64Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const rows = new Float64Array(count);
  for (let i = 0; i < count; i++) rows[i] = fromHalf(view.getUint16(2 * i, true));
  if (!rows.every(Number.isFinite)) throw new DamagedError('the basis is not finite', section);
  return rows;
}

/** Vectors of n leaves: their first three elements, of degree 0, and the others, leaf by leaf. */
export interface ShVectors {
  readonly dc: Float32Array;
  readonly rest: Float32Array;
}

/** Vectors of zeros for `count` leaves. */
export function zeroVectors(count: number, basis: Basis): ShVectors {
  return { dc: new Float32Array(3 * count), rest: new Float32Array((basis.size - 3) * count) };
}

/** Adds the vectors of an SH payload to `sums`; raises DamagedError, and then `sums` is as before. */
export function addSh(
  data: Uint8Array,
  basis: Basis,
  count: number,
  sums: ShVectors,
  section: string,
): void {
  const layout = readLayout(data, basis, count, section);
  const { components, step, sparse } = layout;
  const first = layout.basis * basis.components * basis.size;
  const rows = basis.rows.subarray(first, first + components * basis.size);
  const most = Math.max(0, ...layout.dense.map(({ width }) => width), sparse.components.length ? sparse.width : 0);
  if (step * 2 ** (8 * most + 16) * (components + 1) < MAX_MAGNITUDE) {
    addColumns(data, layout, count, rows, sums);
    return;
  }
  // Elements may go beyond the largest magnitude, to which those of each payload are limited.
  const vectors = { dc: new Float32Array(sums.dc.length), rest: new Float32Array(sums.rest.length) };
  addColumns(data, layout, count, rows, vectors);
  for (let i = 0; i < sums.dc.length; i++) sums.dc[i]! += clamp(vectors.dc[i]!);
  for (let i = 0; i < sums.rest.length; i++) sums.rest[i]! += clamp(vectors.rest[i]!);
}

interface Layout {
  /** Number of the basis. */
  readonly basis: number;
  readonly components: number;
  readonly step: number;
  readonly dense: readonly DenseColumn[];
  readonly sparse: SparseColumns;
}

interface DenseColumn {
  readonly component: number;
  readonly width: number;
  readonly start: number;
}

interface SparseColumns {
  /** Component of each column. */
  readonly components: readonly number[];
  /** Where the flags start: a bit for each column, byte planes of eight columns. */
  readonly flags: number;
  /** Values that are not zero, in each column. */
  readonly shown: Uint32Array;
  readonly total: number;
  /** Where these values start, column by column. */
  readonly start: number;
  readonly width: number;
}

/** Checks a whole payload and returns the places of its columns; raises DamagedError. */
function readLayout(data: Uint8Array, basis: Basis, count: number, section: string): Layout {
  if (data.length < SH_HEAD_BYTES) {
    throw new DamagedError('the payload is shorter than its head', section);
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const components = view.getUint16(0, true);
  const valueWidth = data[2]!;
  const number = data[3]!;
  const step = view.getFloat32(4, true);
  if (number >= basis.bases) throw new DamagedError(`basis ${number} of ${basis.bases}`, section);
  if (components > basis.components) {
    throw new DamagedError(`${components} components, the basis has ${basis.components}`, section);
  }
  checkSteps([step], section);
  const body = SH_HEAD_BYTES + components;
  if (data.length < body) throw new DamagedError('the payload is shorter than its head', section);

  const reader = new ColumnReader(data, body, section);
  const dense: DenseColumn[] = [];
  const sparse: number[] = [];
  data.subarray(SH_HEAD_BYTES, body).forEach((width, component) => {
    if (width === SPARSE_COLUMN) sparse.push(component);
    else dense.push({ component, width, start: reader.skip(width, count) });
  });
  const flags = reader.skip(1, Math.ceil(sparse.length / 8) * count);
  const shown = countFlags(data, flags, sparse.length, count, section);
  const total = shown.reduce((sum, own) => sum + own, 0);
  const start = reader.skip(valueWidth, total);
  reader.finish();
  const columns = { components: sparse, flags, shown, total, start, width: valueWidth };
  return { basis: number, components, step, dense, sparse: columns };
}

/** How many values of each sparse column are not zero. */
function countFlags(
  data: Uint8Array,
  flags: number,
  columns: number,
  count: number,
  section: string,
): Uint32Array {
  const shown = new Uint32Array(8 * Math.ceil(columns / 8));
  for (let plane = 0; 8 * plane < columns; plane++) {
    const from = flags + plane * count;
    for (let i = 0; i < count; i++) {
      for (let bits = data[from + i]!; bits !== 0; ) {
        const bit = Math.clz32(bits) - 24;
        shown[8 * plane + bit]!++;
        bits ^= 0x80 >> bit;
      }
    }
  }
  for (let column = columns; column < shown.length; column++) {
    if (shown[column]) throw new DamagedError('flags of columns that are not there', section);
  }
  return shown;
}

/** Adds the columns leaf by leaf: what is not zero is gathered, then every element summed once. */
function addColumns(
  data: Uint8Array,
  { dense, sparse, step }: Layout,
  count: number,
  rows: Float64Array,
  { dc, rest }: ShVectors,
): void {
  const size = rest.length / count + 3;
  const values = scratch(0, sparse.total);
  sparseValues(data, sparse, step, values);
  const next = new Int32Array(sparse.components.length); // of each sparse column's values
  for (let column = 1; column < next.length; column++) {
    next[column] = next[column - 1]! + sparse.shown[column - 1]!;
  }
  const sparseRows = Int32Array.from(sparse.components, (component) => component * size);
  const shown = dense.filter(({ width }) => width > 0);
  const integers = scratch(1, shown.length * count); // column by column
  shown.forEach(({ width, start }, column) => {
    signedColumn(data, start, width, count, integers.subarray(column * count));
  });
  const denseRows = Int32Array.from(shown, ({ component }) => component * size);
  const leafValues = new Float64Array(shown.length + next.length);
  const leafRows = new Int32Array(leafValues.length);
  for (let i = 0; i < count; i++) {
    let own = 0;
    for (let column = 0, at = i; column < denseRows.length; column++, at += count) {
      const integer = integers[at]!;
      if (integer === 0) continue;
      leafValues[own] = clamp(integer * step);
      leafRows[own++] = denseRows[column]!;
    }
    for (let plane = sparse.flags + i, first = 0; first < next.length; plane += count, first += 8) {
      for (let bits = data[plane]!; bits !== 0; ) {
        const bit = Math.clz32(bits) - 24;
        bits ^= 0x80 >> bit;
        leafValues[own] = values[next[first + bit]!++]!;
        leafRows[own++] = sparseRows[first + bit]!;
      }
    }
    if (own === 0) continue;
    addRows(rows, leafRows, leafValues, own, 0, 3, dc, 3 * i);
    addRows(rows, leafRows, leafValues, own, 3, size, rest, i * (size - 3));
  }
}

/** Adds the elements from `from` to `to`, a multiple of three, of some rows times their values. */
function addRows(
  rows: Float64Array,
  starts: Int32Array,
  values: Float64Array,
  count: number,
  from: number,
  to: number,
  target: Float32Array,
  at: number,
): void {
  let k = from;
  // Nine at a time: as many sums as there are registers for
  for (; k + 9 <= to; k += 9, at += 9) {
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    let e = 0;
    let f = 0;
    let g = 0;
    let h = 0;
    let i = 0;
    for (let entry = 0; entry < count; entry++) {
      const value = values[entry]!;
      const row = starts[entry]! + k;
      a += value * rows[row]!;
      b += value * rows[row + 1]!;
      c += value * rows[row + 2]!;
      d += value * rows[row + 3]!;
      e += value * rows[row + 4]!;
      f += value * rows[row + 5]!;
      g += value * rows[row + 6]!;
      h += value * rows[row + 7]!;
      i += value * rows[row + 8]!;
    }
    target[at]! += a;
    target[at + 1]! += b;
    target[at + 2]! += c;
    target[at + 3]! += d;
    target[at + 4]! += e;
    target[at + 5]! += f;
    target[at + 6]! += g;
    target[at + 7]! += h;
    target[at + 8]! += i;
  }
  for (; k < to; k += 3, at += 3) {
    let a = 0;
    let b = 0;
    let c = 0;
    for (let entry = 0; entry < count; entry++) {
      const value = values[entry]!;
      const row = starts[entry]! + k;
      a += value * rows[row]!;
      b += value * rows[row + 1]!;
      c += value * rows[row + 2]!;
    }
    target[at]! += a;
    target[at + 1]! += b;
    target[at + 2]! += c;
  }
}

/** The entries of sparse columns as numbers: their unsigned form is the entry plus 1, modulo 2^64. */
function sparseValues(
  data: Uint8Array,
  { start, width, total }: SparseColumns,
  step: number,
  out: Float64Array,
): void {
  if (width === 1) {
    const steps = Float64Array.from({ length: 256 }, (_, n) => clamp(unzigzag(n + 1, 0) * step));
    for (let i = 0; i < total; i++) out[i] = steps[data[start + i]!]!;
    return;
  }
  for (let i = 0; i < total; i++) {
    let low = lowWord(data, start + i, width, total) + 1;
    let high = highWord(data, start + i, width, total);
    if (low === 2 ** 32) {
      low = 0;
      high = (high + 1) >>> 0;
    }
    out[i] = clamp(unzigzag(low, high) * step);
  }
}
