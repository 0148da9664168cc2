// How much of a view a box fills (spec/protocol.md, section 10). A box is checked by the rectangle
// around its projection, cut by the picture; what is out of view has a solid angle instead.

import type { Box, View } from '../update.ts';

const NEAR = 1e-2; // of a box's diagonal: nearer corners are clipped
const PADDING = 0.05; // of a box's diagonal: Gaussians reach beyond the box around their means
const MARGIN_PX = 1;

/** What a view sees of a box. */
export interface BoxWeight {
  /** Fraction of the picture that it fills, 0 out of view. */
  readonly coverage: number;
  /** Fraction of the sphere around the viewer that it fills, at most 1. */
  readonly around: number;
}

/** A view and the position of its camera. */
export interface Eye extends View {
  readonly position: readonly [number, number, number];
}

/** A view with the position of its camera. */
export function eyeOf(view: View): Eye {
  const m = view.viewmat;
  const along = (axis: number): number =>
    -(m[axis]! * m[3]! + m[4 + axis]! * m[7]! + m[8 + axis]! * m[11]!);
  return { ...view, position: [along(0), along(1), along(2)] };
}

const points = new Float64Array(24); // corners, in the camera's frame

/** Weighs a box for a view. */
export function boxWeight(box: Box, eye: Eye): BoxWeight {
  const size = [0, 1, 2].map((i) => box.high[i]! - box.low[i]!) as [number, number, number];
  const diagonal = Math.sqrt(size[0] * size[0] + size[1] * size[1] + size[2] * size[2]);
  const padding = PADDING * diagonal;
  const low = box.low.map((value) => value - padding);
  const high = box.high.map((value) => value + padding);
  const inside = [0, 1, 2].every((i) => eye.position[i]! >= low[i]! && eye.position[i]! <= high[i]!);
  const coverage = inside ? 1 : project(low, high, Math.max(NEAR * diagonal, 1e-9), eye);
  return { coverage, around: solidAngle(low, high, eye) };
}

function project(low: number[], high: number[], near: number, eye: Eye): number {
  const m = eye.viewmat;
  for (let corner = 0; corner < 8; corner++) {
    const x = (corner & 1 ? high : low)[0]!;
    const y = (corner & 2 ? high : low)[1]!;
    const z = (corner & 4 ? high : low)[2]!;
    for (let row = 0; row < 3; row++) {
      points[3 * corner + row] =
        m[4 * row]! * x + m[4 * row + 1]! * y + m[4 * row + 2]! * z + m[4 * row + 3]!;
    }
  }
  const bounds = [Infinity, -Infinity, Infinity, -Infinity];
  const take = (x: number, y: number, z: number): void => {
    const column = (x / z) * eye.K[0]! + eye.K[2]!;
    const row = (y / z) * eye.K[4]! + eye.K[5]!;
    bounds[0] = Math.min(bounds[0]!, column);
    bounds[1] = Math.max(bounds[1]!, column);
    bounds[2] = Math.min(bounds[2]!, row);
    bounds[3] = Math.max(bounds[3]!, row);
  };
  for (let a = 0; a < 8; a++) {
    const z = points[3 * a + 2]!;
    if (z >= near) take(points[3 * a]!, points[3 * a + 1]!, z);
    for (let bit = 1; bit < 8; bit <<= 1) {
      const b = a | bit;
      const other = points[3 * b + 2]!;
      if (b === a || z < near === other < near) continue;
      const t = (near - z) / (other - z);
      const cut = (axis: number): number => {
        const start = points[3 * a + axis]!;
        return start + t * (points[3 * b + axis]! - start);
      };
      take(cut(0), cut(1), cut(2));
    }
  }
  return share(bounds[0]!, bounds[1]!, eye.width) * share(bounds[2]!, bounds[3]!, eye.height);
}

function share(first: number, last: number, size: number): number {
  return Math.max(Math.min(last + MARGIN_PX, size) - Math.max(first - MARGIN_PX, 0), 0) / size;
}

function solidAngle(low: number[], high: number[], eye: Eye): number {
  let radiusSquared = 0;
  let distanceSquared = 0;
  for (let i = 0; i < 3; i++) {
    radiusSquared += (high[i]! - low[i]!) ** 2 / 4;
    distanceSquared += (eye.position[i]! - (low[i]! + high[i]!) / 2) ** 2;
  }
  return Math.min(radiusSquared / Math.max(4 * distanceSquared, 1e-18), 1);
}
