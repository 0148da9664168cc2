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
  readonly rows: Float32Array;
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

function readRows(data: Uint8Array, count: number, section: string): Float32Array {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const rows = new Float32Array(count);
  for (let i = 0; i < count; i++) rows[i] = fromHalf(view.getUint16(2 * i, true));
  if (!rows.every(Number.isFinite)) throw new DamagedError('the basis is not finite', section);
  return rows;
}

/** Adds the vectors of an SH payload to `sums`, [leaf][element]; raises DamagedError. */
export function addSh(
  data: Uint8Array,
  basis: Basis,
  count: number,
  sums: Float32Array,
  section: string,
): void {
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
  const widths = data.subarray(SH_HEAD_BYTES, body);
  const columns: Column[] = [];
  const sparse: number[] = [];
  widths.forEach((width, component) => {
    if (width === SPARSE_COLUMN) sparse.push(component);
    else columns.push({ component, width, start: reader.skip(width, count) });
  });
  const flags = reader.skip(1, Math.ceil(sparse.length / 8) * count);
  const shown = countFlags(data, flags, sparse.length, count, section);
  const start = reader.skip(valueWidth, shown);
  reader.finish();

  // Everything has been checked: what follows cannot fail, and `sums` is not touched before.
  const first = number * basis.components * basis.size;
  const rows = basis.rows.subarray(first, first + components * basis.size);
  const add = (target: Float32Array): void => {
    for (const column of columns) addDense(data, column, count, step, rows, target);
    addSparse(data, { flags, start, width: valueWidth, shown, sparse }, count, step, rows, target);
  };
  const most = Math.max(...columns.map(({ width }) => width), sparse.length ? valueWidth : 0);
  if (step * 2 ** (8 * most + 16) * (components + 1) < MAX_MAGNITUDE) {
    add(sums);
    return;
  }
  // Elements may go beyond the largest magnitude, to which those of each payload are limited.
  const vectors = new Float32Array(sums.length);
  add(vectors);
  for (let i = 0; i < sums.length; i++) sums[i]! += clamp(vectors[i]!);
}

interface Column {
  readonly component: number;
  readonly width: number;
  readonly start: number;
}

interface SparseColumns {
  readonly flags: number;
  readonly start: number;
  readonly width: number;
  /** Values that are not zero. */
  readonly shown: number;
  /** Components, in order. */
  readonly sparse: readonly number[];
}

function countFlags(
  data: Uint8Array,
  flags: number,
  columns: number,
  count: number,
  section: string,
): number {
  const planes = Math.ceil(columns / 8);
  let shown = 0;
  for (let i = 0; i < planes * count; i++) shown += popCount(data[flags + i]!);
  const spare = columns & 7 ? (1 << (8 - (columns & 7))) - 1 : 0;
  for (let i = (planes - 1) * count; spare && i < planes * count; i++) {
    if (data[flags + i]! & spare) {
      throw new DamagedError('flags of columns that are not there', section);
    }
  }
  return shown;
}

function addDense(
  data: Uint8Array,
  { component, width, start }: Column,
  count: number,
  step: number,
  rows: Float32Array,
  target: Float32Array,
): void {
  if (width === 0) return;
  const integers = scratch(0, count);
  signedColumn(data, start, width, count, integers);
  const row = rowOf(rows, component, target, count);
  for (let i = 0; i < count; i++) {
    if (integers[i] !== 0) addRow(target, i, row, clamp(integers[i]! * step));
  }
}

function addSparse(
  data: Uint8Array,
  { flags, start, width, shown, sparse }: SparseColumns,
  count: number,
  step: number,
  rows: Float32Array,
  target: Float32Array,
): void {
  const steps = Float64Array.from({ length: 256 }, (_, n) => clamp(unzigzag(n + 1, 0) * step));
  let taken = start;
  sparse.forEach((component, column) => {
    const bit = 1 << (7 - (column & 7));
    const plane = flags + (column >> 3) * count;
    const row = rowOf(rows, component, target, count);
    for (let i = 0; i < count; i++) {
      if ((data[plane + i]! & bit) === 0) continue;
      const value = width === 1 ? steps[data[taken]!]! : valueAt(data, taken, width, shown, step);
      addRow(target, i, row, value);
      taken += 1;
    }
  });
}

function rowOf(rows: Float32Array, component: number, target: Float32Array, count: number): Float32Array {
  const size = target.length / count;
  return rows.subarray(component * size, (component + 1) * size);
}

function addRow(target: Float32Array, leaf: number, row: Float32Array, value: number): void {
  const size = row.length;
  const at = leaf * size;
  for (let k = 0; k < size; k++) target[at + k]! += value * row[k]!;
}

/** The value of an entry of sparse columns: its unsigned form is the entry plus 1, modulo 2^64. */
function valueAt(data: Uint8Array, place: number, width: number, shown: number, step: number): number {
  let low = lowWord(data, place, width, shown) + 1;
  let high = highWord(data, place, width, shown);
  if (low === 2 ** 32) {
    low = 0;
    high = (high + 1) >>> 0;
  }
  return clamp(unzigzag(low, high) * step);
}

function popCount(byte: number): number {
  let bits = byte - ((byte >> 1) & 0x55);
  bits = (bits & 0x33) + ((bits >> 2) & 0x33);
  return (bits + (bits >> 4)) & 0x0f;
}
