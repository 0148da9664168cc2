// In the browser: scenes as dump.py leaves them, cut into parts for a renderer or a source.

import type { PartAdded, SplatData, View } from '@exgs/client/update';

export interface Columns {
  readonly count: number;
  readonly k: number; // coefficients above degree 0
  readonly means: Float32Array;
  readonly quats: Float32Array;
  readonly scales: Float32Array;
  readonly opacities: Float32Array;
  readonly sh0: Float32Array;
  readonly shN: Float32Array;
}

export interface Dumped {
  readonly columns: Columns;
  readonly antialiased: boolean;
  readonly views: readonly View[];
}

/** Fetches a scene; `url` is without its ending. */
export async function fetchScene(url: string): Promise<Dumped> {
  const buffer = await (await fetch(`${url}.bin`)).arrayBuffer();
  const [count = 0, k = 0] = new Uint32Array(buffer, 0, 2);
  let offset = 8;
  const take = (values: number): Float32Array => {
    const array = new Float32Array(buffer, offset, count * values);
    offset += array.byteLength;
    return array;
  };
  const columns = {
    count,
    k,
    means: take(3),
    quats: take(4),
    scales: take(3),
    opacities: take(1),
    sh0: take(3),
    shN: take(3 * k),
  };
  const facts = await (await fetch(`${url}.json`)).json();
  const views = facts.views.map((view: { viewmat: number[]; K: number[] }) => ({
    ...view,
    viewmat: Float64Array.from(view.viewmat),
    K: Float64Array.from(view.K),
  }));
  return { columns, antialiased: facts.antialiased, views };
}

/** Copies of the splats from `first` to `end`, every `step`-th. */
export function cut(scene: Columns, first: number, end: number, step = 1): SplatData {
  const count = Math.ceil((end - first) / step);
  const copy = (array: Float32Array, n: number): Float32Array => {
    if (step === 1) return array.slice(first * n, end * n);
    const out = new Float32Array(count * n);
    for (let i = 0; i < count; i++) {
      const from = (first + i * step) * n;
      out.set(array.subarray(from, from + n), i * n);
    }
    return out;
  };
  return {
    means: copy(scene.means, 3),
    quats: copy(scene.quats, 4),
    scales: copy(scene.scales, 3),
    opacities: copy(scene.opacities, 1),
    sh0: copy(scene.sh0, 3),
    shN: scene.k > 0 ? copy(scene.shN, 3 * scene.k) : null,
  };
}

/** A part of three children, one of them empty. */
export function partOf(key: number, kind: 'leaf' | 'proxy', data: SplatData): PartAdded {
  const count = data.opacities.length;
  const half = count >> 1;
  const children = Uint32Array.of(half, 0, count - half);
  return { key, kind, layer: 0, tile: key, count, children, data };
}
