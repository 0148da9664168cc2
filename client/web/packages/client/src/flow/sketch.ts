// How much of a view each tile fills, by a small drawing of layer 0 (spec/protocol.md, section 10.1).

import type { Box } from '../update.ts';
import type { Eye } from './visibility.ts';

const COLUMNS = 32;
const ROWS = 18;
const MOST_HALF = 4; // cells: half of the largest square
const MOST_DEEP = 32; // squares of one cell that count

/** The Gaussians of layer 0 as points with a size. */
export interface Sketch {
  /** Three numbers for each point. */
  readonly means: ArrayLike<number>;
  readonly radii: ArrayLike<number>;
  readonly opacities: ArrayLike<number>;
}

/** For each point the nearest of these boxes; the first of equally near ones. */
export function ownersOf({ means, radii }: Sketch, boxes: readonly Box[]): Uint8Array {
  const owners = new Uint8Array(radii.length);
  for (let point = 0; point < owners.length; point++) {
    let best = Infinity;
    boxes.forEach(({ low, high }, number) => {
      let distance = 0;
      for (let axis = 0; axis < 3; axis++) {
        const mean = means[3 * point + axis]!;
        const away = Math.max(low[axis]! - mean, mean - high[axis]!, 0);
        distance += away * away;
      }
      if (distance < best) {
        best = distance;
        owners[point] = number;
      }
    });
  }
  return owners;
}

/** The share of the picture that the points of each of `count` owners fill. */
export function sharesOf(sketch: Sketch, owners: Uint8Array, count: number, eye: Eye): Float64Array {
  const { radii, opacities } = sketch;
  const seen = seenFrom(sketch, eye);
  const order: number[] = [];
  for (let point = 0; point < radii.length; point++) if (seen[3 * point + 2]! > radii[point]!) order.push(point);
  order.sort((a, b) => seen[3 * a + 2]! - seen[3 * b + 2]! || a - b);

  const shares = new Float64Array(count);
  const light = new Float64Array(COLUMNS * ROWS).fill(1);
  const deep = new Uint8Array(COLUMNS * ROWS);
  for (const point of order) {
    const depth = seen[3 * point + 2]!;
    const along = (axis: 0 | 1, cells: number, size: number): Span => {
      const focal = (eye.K[4 * axis]! * cells) / size;
      const centre = (eye.K[3 * axis + 2]! * cells) / size;
      return spanOf((seen[3 * point + axis]! / depth) * focal + centre, (radii[point]! / depth) * focal, cells);
    };
    const across = along(0, COLUMNS, eye.width);
    const down = along(1, ROWS, eye.height);
    const opacity = opacities[point]! * across.fill * down.fill;
    const owner = owners[point]!;
    for (let row = down.start; row < down.end; row++) {
      for (let cell = row * COLUMNS + across.start; cell < row * COLUMNS + across.end; cell++) {
        if (deep[cell]! >= MOST_DEEP) continue;
        deep[cell]!++;
        shares[owner]! += light[cell]! * opacity;
        light[cell]! *= 1 - opacity;
      }
    }
  }
  return shares.map((sum) => sum / (COLUMNS * ROWS));
}

interface Span {
  readonly start: number;
  readonly end: number;
  /** The share of its only cell that a small square fills. */
  readonly fill: number;
}

function spanOf(middle: number, half: number, cells: number): Span {
  const isSmall = half < 0.5;
  const reach = Math.min(half, MOST_HALF);
  const first = Math.floor(isSmall ? middle : middle - reach + 0.5);
  const end = isSmall ? first + 1 : Math.floor(middle + reach + 0.5);
  const within = (value: number): number => Math.min(Math.max(value, 0), cells);
  return { start: within(first), end: within(end), fill: isSmall ? 2 * half : 1 };
}

/** The points in the camera's frame. */
function seenFrom({ means }: Sketch, eye: Eye): Float64Array {
  const m = eye.viewmat;
  const seen = new Float64Array(means.length);
  for (let i = 0; i < means.length; i += 3) {
    for (let row = 0; row < 3; row++) {
      seen[i + row] =
        m[4 * row]! * means[i]! +
        m[4 * row + 1]! * means[i + 1]! +
        m[4 * row + 2]! * means[i + 2]! +
        m[4 * row + 3]!;
    }
  }
  return seen;
}
