// FINE payloads: more precision for the shapes of a cell's leaves (spec/format.md, section 7.3).

import { FINE_COLUMNS, FINE_HEAD_BYTES } from '../constants.ts';
import { DamagedError, UnsupportedError } from '../errors.ts';
import { scaleOf, type Shapes } from './geometry.ts';
import { checkSteps, clamp, writeQuat } from './numbers.ts';
import { ColumnReader, scratch, signedColumn } from './reader.ts';

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
    const size = column(3 + axis, 1);
    for (let i = 0; i < count; i++) {
      const at = 3 * i + axis;
      means[at] = clamp(coarse.means[at]! + move[i]! * meanStep);
      scales[at] = scaleOf(Math.log(coarse.scales[at]!) + size[i]! * scaleStep);
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
