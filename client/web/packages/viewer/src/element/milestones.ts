// Events that wait until everything on its way to the screen is drawn: the first picture, this view
// complete, the scene complete. Each is emitted once, and again after it has ceased to hold.

import type { Progress } from '@exgs/client/update';

export type Milestone = 'first' | 'ready' | 'complete';

export class Milestones {
  readonly #due = new Set<Milestone>();
  readonly #told = new Set<Milestone>();

  /** Whether something waits for the screen. */
  get waiting(): boolean {
    return this.#due.size > 0;
  }

  /** Nothing has been reached: for a new scene. */
  clear(): void {
    this.#due.clear();
    this.#told.clear();
  }

  /** The client reports that it holds; returns whether it has yet to be emitted. */
  expect(milestone: Milestone): boolean {
    if (this.#told.has(milestone)) return false;
    this.#due.add(milestone);
    return true;
  }

  /** It does not hold any more, and is emitted again once it does. */
  undo(milestone: Milestone): void {
    this.#told.delete(milestone);
  }

  /** Takes the progress of a transaction that is shown; returns whether anything has yet to be emitted. */
  committed({ splats, readyForView, complete }: Progress): boolean {
    if (splats > 0) this.expect('first');
    let isNews = false;
    for (const [milestone, holds] of [['ready', readyForView], ['complete', complete]] as const) {
      if (!holds) this.undo(milestone);
      else isNews = this.expect(milestone) || isNews;
    }
    return isNews;
  }

  /** Whether it is to be emitted now. */
  reach(milestone: Milestone): boolean {
    if (!this.#due.delete(milestone) || this.#told.has(milestone)) return false;
    this.#told.add(milestone);
    return true;
  }
}
