// FINE payloads: more precision for the shapes of a cell's leaves (spec/format.md, section 7.3).

import { FINE_COLUMNS, FINE_HEAD_BYTES } from '../constants.ts';
import { DamagedError, UnsupportedError } from '../errors.ts';
import type { Shapes } from './geometry.ts';
import { checkSteps, clamp, scaleOf, tabulated, writeQuat } from './numbers.ts';
import { ColumnReader, scratch, signedColumn } from './reader.ts';

const SCALE_MIN = scaleOf(-Infinity);
const SCALE_MAX = scaleOf(Infinity);

/** The shapes that a FINE payload makes of those of the LEAF; raises DamagedError, UnsupportedError. */
export function refineShapes(data: Uint8Array, coarse: Shapes, section: string): Shapes {
  if (data.length < FINE_HEAD_BYTES) {
    throw new DamagedError('the payload is shorter than its head', section);
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (view.getUint16(FINE_COLUMNS, true) !== 0) {
    throw new UnsupportedError('reserved bytes are set', section);
  }
  const steps = [12, 16, 20, 24].map((at) => view.getFloat32(at, true));
  checkSteps(steps, section);
  const [meanStep, scaleStep, turnStep, opacityStep] = steps as [number, number, number, number];
  const count = coarse.opacities.length;
  const reader = new ColumnReader(data, FINE_HEAD_BYTES, section);
  const widths = data.subarray(0, FINE_COLUMNS);
  const starts = Array.from(widths, (width) => reader.skip(width, count));
  reader.finish();
  const column = (number: number, place: number): Float64Array => {
    const out = scratch(place, count);
    signedColumn(data, starts[number]!, widths[number]!, count, out);
    return out;
  };

  const means = new Float32Array(3 * count);
  const scales = new Float32Array(3 * count);
  for (let axis = 0; axis < 3; axis++) {
    const move = column(axis, 0);
    for (let i = 0, at = axis; i < count; i++, at += 3) {
      means[at] = clamp(coarse.means[at]! + move[i]! * meanStep);
    }
    // exp(ln(s) + x) is s exp(x)
    const size = column(3 + axis, 1);
    const factor = tabulated((by) => Math.exp(by * scaleStep), ...bounds(size, count), count);
    for (let i = 0, at = axis; i < count; i++, at += 3) {
      scales[at] = Math.min(Math.max(coarse.scales[at]! * factor(size[i]!), SCALE_MIN), SCALE_MAX);
    }
  }
  const quats = new Float32Array(4 * count);
  const turns = [column(6, 0), column(7, 1), column(8, 2)] as const;
  const turned = (i: number, axis: 0 | 1 | 2): number => {
    const by = Math.min(Math.max(turns[axis][i]! * turnStep, -2), 2);
    return coarse.quats[4 * i + 1 + axis]! + by;
  };
  for (let i = 0; i < count; i++) writeQuat(quats, 4 * i, turned(i, 0), turned(i, 1), turned(i, 2));
  const opacities = new Float32Array(count);
  const more = column(9, 0);
  for (let i = 0; i < count; i++) {
    opacities[i] = Math.min(Math.max(coarse.opacities[i]! + more[i]! * opacityStep, 0), 1);
  }
  return { means, quats, scales, opacities };
}

function bounds(values: Float64Array, count: number): [least: number, most: number] {
  let least = Infinity;
  let most = -Infinity;
  for (let i = 0; i < count; i++) {
    const value = values[i]!;
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return [least, most];
}
