// The order of splats: one sort at a time in the worker, requested when the camera moves or the set of
// splats changes. Sorts have serial numbers, so that transactions can wait for the one that includes them.

import type { View } from '@exgs/client/update';
import { eyeOf } from './gl/passes.ts';
import type { Plane, Request, Sorted } from './sort/messages.ts';

export class Order {
  /** Serial of the current order. */
  sorted = 0;
  /** Time of the last sort in the worker, ms. */
  sortMs = 0;
  /** Time from asking for the last order until it came, ms. */
  delayMs = 0;
  readonly #post: (request: Request) => void;
  #serial = 0; // of the last sort that was asked for
  #wanted = false;
  #asking = false;
  #askedMs = 0;
  #spare: Uint32Array | null = null; // goes back to be written to

  constructor(post: (request: Request) => void) {
    this.#post = post;
  }

  get busy(): boolean {
    return this.#asking || this.#wanted;
  }

  /** Requests a new order; returns its serial. It includes everything posted to the worker before. */
  want(): number {
    this.#wanted = true;
    return this.#serial + 1;
  }

  /** Sends the request, unless the worker still sorts. */
  ask(view: View | null): void {
    if (this.#asking || !this.#wanted || !view) return;
    this.#wanted = false;
    this.#asking = true;
    this.#askedMs = performance.now();
    const into = this.#spare;
    this.#spare = null;
    this.#post({ type: 'sort', serial: ++this.#serial, plane: planeOf(view), into });
  }

  /** Takes an order that has been copied to the GPU. */
  take({ order, serial, ms }: Sorted): void {
    this.#spare = order;
    this.#asking = false;
    this.sorted = serial;
    this.sortMs = ms;
    this.delayMs = performance.now() - this.#askedMs;
  }
}

/** The depth of a view as the worker computes it. */
export function planeOf(view: View): Plane {
  const [x = 0, y = 0, z = 0, offset = 0] = view.viewmat.subarray(8, 12);
  return { x, y, z, offset, eye: eyeOf(view) };
}
