// Messages between the viewer and its worker. All arrays are transferred.

import type { SplatData } from '@exgs/client/update';
import type { ShPrecision, Span } from '../splats/layout.ts';

/** From the viewer. The worker processes them in order. */
export type Request =
  | { readonly type: 'open'; readonly shDegree: number; readonly precision: ShPrecision }
  | {
      readonly type: 'add';
      readonly key: number;
      readonly spans: readonly Span[];
      readonly groups: number; // number of the first child's group
      readonly children: Uint32Array;
      readonly data: SplatData;
    }
  | { readonly type: 'refine'; readonly key: number; readonly data: Partial<SplatData> }
  | { readonly type: 'drop'; readonly key: number }
  | { readonly type: 'activate'; readonly groups: Uint32Array; readonly active: boolean }
  | { readonly type: 'measure' }
  | {
      readonly type: 'sort';
      readonly serial: number;
      readonly plane: Plane;
      readonly into: Uint32Array | null; // an order that is no longer used
    };

/** depth of a point p = x p.x + y p.y + z p.z + offset; eye: the camera. */
export interface Plane {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly offset: number;
  readonly eye: readonly [number, number, number];
}

/** Texture words of a part, in its order of splats. */
export interface Packed {
  readonly type: 'packed';
  readonly key: number;
  readonly fresh: boolean; // added, not refined
  readonly a: Uint32Array | null;
  readonly b: Uint32Array | null;
  readonly groups: Uint32Array | null; // group of each splat
  readonly sh: Uint32Array | null; // layer after layer
  readonly ms: number;
}

/** Slots from the farthest to the nearest; the first `count` of `order`. */
export interface Sorted {
  readonly type: 'sorted';
  readonly serial: number;
  readonly order: Uint32Array;
  readonly count: number;
  readonly ms: number;
}

/** A ball that holds most of what is active; radius 0 where nothing is. */
export interface Measured {
  readonly type: 'measured';
  readonly center: readonly [number, number, number];
  readonly radius: number;
}

export type Reply = Packed | Sorted | Measured;

/** The buffers of a request that go with it. */
export function buffersOf(request: Request): ArrayBuffer[] {
  if (request.type === 'sort') return request.into ? [request.into.buffer as ArrayBuffer] : [];
  if (request.type === 'activate') return [request.groups.buffer as ArrayBuffer];
  if (request.type !== 'add' && request.type !== 'refine') return [];
  const arrays = Object.values(request.data) as (Float32Array | null | undefined)[];
  return [...new Set(arrays.flatMap((array) => (array ? [array.buffer as ArrayBuffer] : [])))];
}
