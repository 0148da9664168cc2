// LEAF and PROXY payloads: Gaussians with a base colour, quantized column by column
// (spec/format.md, section 7.2). Shapes and colours can be had apart, to refine one of them.

import {
  ChunkKind,
  GEOMETRY_COLUMNS,
  GEOMETRY_HEAD_BYTES,
  MAX_MAGNITUDE,
  OPACITY_BITS_MAX,
  ROTATION_BITS_MAX,
} from '../constants.ts';
import { DamagedError, UnsupportedError } from '../errors.ts';
import { mortonX, mortonY, mortonZ } from './morton.ts';
import { checkSteps, clamp, scaleOf, tabulated, writeQuat } from './numbers.ts';
import { readOwnBasis, type Basis } from './sh.ts';
import { ColumnReader, highWord, lowWord, scratch, signedColumn, unsignedColumn } from './reader.ts';

/** Shapes of n Gaussians: means 3n, quaternions 4n (w x y z), scales 3n, opacities n. */
export interface Shapes {
  readonly means: Float32Array;
  readonly quats: Float32Array;
  readonly scales: Float32Array;
  readonly opacities: Float32Array;
}

/** A payload whose head and layout have been checked. */
export interface Geometry {
  readonly count: number;
  /** Gaussians in each child of the cell. */
  readonly childCounts: Uint32Array;
  readonly data: Uint8Array;
  readonly widths: Uint8Array;
  /** Where each column starts. */
  readonly starts: readonly number[];
  readonly origin: readonly [number, number, number];
  readonly positionStep: number;
  readonly scaleOrigin: number;
  readonly scaleStep: number;
  readonly rotationBits: number;
  readonly opacityBits: number;
  readonly lumaStep: number;
  readonly chromaStep: number;
  /** View dependence of proxies, with a basis of their own; null where there is none. */
  readonly sh: { readonly basis: Basis; readonly payload: Uint8Array } | null;
}

/** The entry of a payload in the index. */
export interface GeometryPlace {
  readonly kind: number;
  readonly count: number;
  readonly section: string;
}

/** Reads head and layout of a payload; raises DamagedError, UnsupportedError. */
export function readGeometry(
  data: Uint8Array,
  { kind, count, section }: GeometryPlace,
  children: number,
  shDegree: number,
): Geometry {
  const bodyStart = GEOMETRY_HEAD_BYTES + 4 * children;
  if (data.length < bodyStart) {
    throw new DamagedError('the payload is shorter than its head', section);
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const float = (at: number): number => view.getFloat32(at, true);
  if (data[GEOMETRY_COLUMNS] !== 0 || data[39] !== 0) {
    throw new UnsupportedError('reserved bytes are set', section);
  }
  const origin = [float(12), float(16), float(20)] as const;
  const scaleOrigin = float(28);
  if (![...origin, scaleOrigin].every((value) => Math.abs(value) <= MAX_MAGNITUDE)) {
    throw new DamagedError('an origin is not finite', section);
  }
  const [positionStep, scaleStep, lumaStep, chromaStep] = [float(24), float(32), float(40), float(44)];
  checkSteps([positionStep, scaleStep, lumaStep, chromaStep], section);
  const shComponents = data[38]!;
  if (shComponents > 0 && kind === ChunkKind.LEAF) {
    throw new DamagedError('SH within a LEAF', section);
  }
  const rotationBits = data[36]!;
  const opacityBits = data[37]!;
  if (rotationBits < 2 || rotationBits > ROTATION_BITS_MAX) {
    throw new DamagedError(`rotations of ${rotationBits} bits`, section);
  }
  if (opacityBits < 1 || opacityBits > OPACITY_BITS_MAX) {
    throw new DamagedError(`opacities of ${opacityBits} bits`, section);
  }
  const childCounts = new Uint32Array(children);
  let total = 0;
  for (let child = 0; child < children; child++) {
    const own = view.getUint32(GEOMETRY_HEAD_BYTES + 4 * child, true);
    childCounts[child] = own;
    total += own;
  }
  if (total !== count) throw new DamagedError('the children do not add up to the chunk', section);
  const reader = new ColumnReader(data, bodyStart, section);
  const widths = data.subarray(0, GEOMETRY_COLUMNS);
  const starts = Array.from(widths, (width) => reader.skip(width, count));
  const sh = shComponents > 0 ? readOwnBasis(reader.rest(), shComponents, shDegree, section) : null;
  if (!sh) reader.finish();
  return {
    count,
    childCounts,
    data,
    widths,
    starts,
    origin,
    positionStep,
    scaleOrigin,
    scaleStep,
    rotationBits,
    opacityBits,
    lumaStep,
    chromaStep,
    sh,
  };
}

/** The shapes of a payload. */
export function decodeShapes(geometry: Geometry): Shapes {
  const { count } = geometry;
  const shapes = {
    means: new Float32Array(3 * count),
    quats: new Float32Array(4 * count),
    scales: new Float32Array(3 * count),
    opacities: new Float32Array(count),
  };
  writeMeans(geometry, shapes.means);
  writeScales(geometry, shapes.scales);
  writeQuats(geometry, shapes.quats);
  const opacity = column(geometry, 7, 0, false);
  const top = 2 ** geometry.opacityBits - 1;
  for (let i = 0; i < count; i++) shapes.opacities[i] = Math.min(opacity[i]! / top, 1);
  return shapes;
}

/** The base colours of a payload: SH coefficients of degree 0, 3n. */
export function decodeColors(geometry: Geometry): Float32Array {
  const { count, lumaStep, chromaStep } = geometry;
  const luma = column(geometry, 8, 0, true);
  const redBlue = column(geometry, 9, 1, true);
  const green = column(geometry, 10, 2, true);
  const colors = new Float32Array(3 * count);
  for (let i = 0; i < count; i++) {
    const y = luma[i]! * lumaStep;
    const p = redBlue[i]! * chromaStep;
    const q = green[i]! * chromaStep;
    const grey = y - q / 3;
    colors[3 * i] = clamp(grey + p / 2);
    colors[3 * i + 1] = clamp(y + (2 * q) / 3);
    colors[3 * i + 2] = clamp(grey - p / 2);
  }
  return colors;
}

function column(geometry: Geometry, number: number, place: number, isSigned: boolean): Float64Array {
  const { data, count } = geometry;
  const out = scratch(place, count);
  const read = isSigned ? signedColumn : unsignedColumn;
  read(data, geometry.starts[number]!, geometry.widths[number]!, count, out);
  return out;
}

function writeMeans(geometry: Geometry, means: Float32Array): void {
  const { data, count, childCounts, positionStep } = geometry;
  const [originX, originY, originZ] = geometry.origin;
  const width = geometry.widths[0]!;
  const start = geometry.starts[0]!;
  let i = 0;
  for (const own of childCounts) {
    let low = 0;
    let high = 0;
    for (const stop = i + own; i < stop; i++) {
      const add = lowWord(data, start + i, width, count);
      low = (low + add) >>> 0;
      const carry = low < add ? 1 : 0;
      high += width > 4 ? highWord(data, start + i, width, count) : 0;
      high = (high + carry) & 0x7fffffff;
      means[3 * i] = clamp(mortonX(low, high) * positionStep + originX);
      means[3 * i + 1] = clamp(mortonY(low, high) * positionStep + originY);
      means[3 * i + 2] = clamp(mortonZ(low, high) * positionStep + originZ);
    }
  }
}

function writeScales(geometry: Geometry, scales: Float32Array): void {
  const { count, scaleStep, scaleOrigin } = geometry;
  const long = column(geometry, 1, 0, false);
  const drop = column(geometry, 2, 1, false);
  const dropShort = column(geometry, 3, 2, false);
  let least = Infinity;
  let most = -Infinity;
  for (let i = 0; i < count; i++) {
    const shortest = long[i]! - drop[i]! - dropShort[i]!;
    if (shortest < least) least = shortest;
    if (long[i]! > most) most = long[i]!;
  }
  const scale = tabulated((size) => scaleOf(size * scaleStep + scaleOrigin), least, most, count);
  for (let i = 0; i < count; i++) {
    const a = long[i]!;
    const b = a - drop[i]!;
    scales[3 * i] = scale(a);
    scales[3 * i + 1] = scale(b);
    scales[3 * i + 2] = scale(b - dropShort[i]!);
  }
}

function writeQuats(geometry: Geometry, quats: Float32Array): void {
  const { count, rotationBits } = geometry;
  const unit = (2 ** (rotationBits - 1) - 1) * Math.SQRT2;
  const x = column(geometry, 4, 0, true);
  const y = column(geometry, 5, 1, true);
  const z = column(geometry, 6, 2, true);
  for (let i = 0; i < count; i++) writeQuat(quats, 4 * i, x[i]! / unit, y[i]! / unit, z[i]! / unit);
}
