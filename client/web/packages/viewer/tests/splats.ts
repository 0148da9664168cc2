// Made-up splats for tests.

import type { SplatData } from '@exgs/client/update';
import { normal, random } from './random.ts';

/** `count` splats with `k` coefficients above degree 0. */
export function madeUp(count: number, k = 0, seed = 0): SplatData {
  const next = random(seed);
  const fill = (n: number, make: () => number): Float32Array => Float32Array.from({ length: n }, make);
  const quats = fill(4 * count, () => normal(next));
  for (let i = 0; i < quats.length; i += 4) {
    const size = Math.hypot(...quats.subarray(i, i + 4));
    for (let j = i; j < i + 4; j++) quats[j] = quats[j]! / size;
  }
  return {
    means: fill(3 * count, () => 10 * normal(next)),
    quats,
    scales: fill(3 * count, () => Math.exp(2 * normal(next) - 4)),
    opacities: fill(count, next),
    sh0: fill(3 * count, () => 2 * normal(next)),
    shN: k > 0 ? fill(3 * k * count, () => 0.3 * normal(next)) : null,
  };
}
