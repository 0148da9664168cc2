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
  const rows = new Float32Array(count);
  for (let i = 0; i < count; i++) rows[i] = fromHalf(view.getUint16(BASIS_HEAD_BYTES + 2 * i, true));
  if (!rows.every(Number.isFinite)) throw new DamagedError('the basis is not finite', section);
  return { bases, components, size, rows };
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
  const vectors = new Float32Array(count * basis.size);
  const values = scratch(0, count);
  const row = (component: number): Float32Array => {
    const start = (number * basis.components + component) * basis.size;
    return basis.rows.subarray(start, start + basis.size);
  };
  const sparse: number[] = [];
  for (let component = 0; component < components; component++) {
    const width = data[SH_HEAD_BYTES + component]!;
    if (width === SPARSE_COLUMN) sparse.push(component);
    else {
      const start = reader.skip(width, count);
      if (width === 0) continue;
      signedColumn(data, start, width, count, values);
      for (let i = 0; i < count; i++) values[i] = clamp(values[i]! * step);
      addRow(vectors, values, row(component), count);
    }
  }
  addSparse(reader, sparse, valueWidth, count, step, section, (component, filled) =>
    addRow(vectors, filled, row(component), count),
  );
  reader.finish();
  for (let i = 0; i < vectors.length; i++) {
    const value = vectors[i]!;
    sums[i]! += value > MAX_MAGNITUDE || value < -MAX_MAGNITUDE ? clamp(value) : value;
  }
}

function addSparse(
  reader: ColumnReader,
  sparse: readonly number[],
  width: number,
  count: number,
  step: number,
  section: string,
  give: (component: number, values: Float64Array) => void,
): void {
  const { data } = reader;
  const planes = Math.ceil(sparse.length / 8);
  const flags = reader.skip(1, planes * count);
  const bitOf = (column: number): number => 1 << (7 - (column & 7));
  let shown = 0;
  for (let i = 0; i < planes * count; i++) shown += popCount(data[flags + i]!);
  if (sparse.length & 7) {
    const spare = bitOf(sparse.length - 1) - 1;
    const last = flags + (planes - 1) * count;
    for (let i = 0; i < count; i++) {
      if (data[last + i]! & spare) {
        throw new DamagedError('flags of columns that are not there', section);
      }
    }
  }
  const start = reader.skip(width, shown);
  const values = scratch(0, count);
  let taken = 0;
  sparse.forEach((component, column) => {
    const bit = bitOf(column);
    const plane = flags + (column >> 3) * count;
    for (let i = 0; i < count; i++) {
      if ((data[plane + i]! & bit) === 0) {
        values[i] = 0;
        continue;
      }
      // The unsigned form is the entry plus 1, modulo 2^64.
      let low = lowWord(data, start + taken, width, shown) + 1;
      let high = highWord(data, start + taken, width, shown);
      if (low === 2 ** 32) {
        low = 0;
        high = (high + 1) >>> 0;
      }
      values[i] = clamp(unzigzag(low, high) * step);
      taken += 1;
    }
    give(component, values);
  });
}

function addRow(out: Float32Array, values: Float64Array, row: Float32Array, count: number): void {
  const size = row.length;
  for (let i = 0; i < count; i++) {
    const value = values[i]!;
    if (value === 0) continue;
    const at = i * size;
    for (let k = 0; k < size; k++) out[at + k]! += value * row[k]!;
  }
}

function popCount(byte: number): number {
  let bits = byte - ((byte >> 1) & 0x55);
  bits = (bits & 0x33) + ((bits >> 2) & 0x33);
  return (bits + (bits >> 4)) & 0x0f;
}
