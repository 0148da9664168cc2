// Pointers to gestures: drags of one finger or button, of two fingers with a pinch, clicks and double
// clicks. It keeps positions and times and knows nothing of cameras.

export interface Point {
  readonly x: number;
  readonly y: number;
}

export type Gesture =
  | { readonly type: 'turn'; readonly dx: number; readonly dy: number }
  | { readonly type: 'pan'; readonly dx: number; readonly dy: number }
  | { readonly type: 'zoom'; readonly factor: number } // of the distance
  | { readonly type: 'click'; readonly at: Point }
  | { readonly type: 'double'; readonly at: Point }
  | { readonly type: 'release'; readonly speedX: number; readonly speedY: number }; // px per ms

export interface PointerChange {
  readonly id: number;
  readonly x: number;
  readonly y: number;
  readonly timeMs: number;
}

const CLICK_PX = 5;
const CLICK_MS = 350;
const DOUBLE_MS = 350;
const DOUBLE_PX = 30;
const SPEED_MS = 60; // of the drag's end, that its speed is measured over

interface Held extends Point {
  readonly pans: boolean;
}

export class Gestures {
  readonly #held = new Map<number, Held>();
  #start: (Point & { readonly timeMs: number }) | null = null; // of what may become a click
  #lastClick: (Point & { readonly timeMs: number }) | null = null;
  #trail: (Point & { readonly timeMs: number })[] = [];

  /** Whether anything is held. */
  get active(): boolean {
    return this.#held.size > 0;
  }

  /** A pointer goes down; `pans`: with the right or middle button, or with a key. */
  down({ id, x, y, timeMs }: PointerChange, pans: boolean): void {
    this.#start = this.#held.size === 0 && !pans ? { x, y, timeMs } : null;
    this.#held.set(id, { x, y, pans });
    this.#trail = this.#held.size === 1 ? [{ x, y, timeMs }] : [];
  }

  move({ id, x, y, timeMs }: PointerChange): Gesture[] {
    const old = this.#held.get(id);
    if (!old) return [];
    if (this.#start && Math.hypot(x - this.#start.x, y - this.#start.y) > CLICK_PX) this.#start = null;
    const before = [...this.#held.values()];
    this.#held.set(id, { ...old, x, y });
    const after = [...this.#held.values()];
    if (after.length === 1) {
      this.#trail = [...this.#trail, { x, y, timeMs }].filter((p) => timeMs - p.timeMs <= SPEED_MS);
      if (this.#start) return []; // it may be a click yet
      return [{ type: old.pans ? 'pan' : 'turn', dx: x - old.x, dy: y - old.y }];
    }
    const [from, to] = [pinch(before), pinch(after)];
    const factor = to.spread > 1 && from.spread > 1 ? from.spread / to.spread : 1;
    return [
      { type: 'pan', dx: to.x - from.x, dy: to.y - from.y },
      { type: 'zoom', factor },
    ];
  }

  up({ id, x, y, timeMs }: PointerChange): Gesture[] {
    const held = this.#held.get(id);
    if (!this.#held.delete(id) || !held) return [];
    if (this.#held.size > 0) {
      this.#trail = []; // the remaining finger starts a new trail
      return [];
    }
    const start = this.#start;
    this.#start = null;
    if (start && timeMs - start.timeMs <= CLICK_MS) return [this.#click({ x, y, timeMs })];
    const first = this.#trail.find((p) => timeMs - p.timeMs <= SPEED_MS);
    const span = first ? timeMs - first.timeMs : 0;
    if (!first || span <= 0 || held.pans) return [];
    return [{ type: 'release', speedX: (x - first.x) / span, speedY: (y - first.y) / span }];
  }

  /** A pointer was lost without having been released. */
  cancel(id: number): void {
    this.#held.delete(id);
    this.#start = null;
  }

  #click(at: Point & { readonly timeMs: number }): Gesture {
    const last = this.#lastClick;
    const near = last && Math.hypot(at.x - last.x, at.y - last.y) <= DOUBLE_PX;
    if (near && at.timeMs - last.timeMs <= DOUBLE_MS) {
      this.#lastClick = null;
      return { type: 'double', at };
    }
    this.#lastClick = at;
    return { type: 'click', at };
  }
}

/** The middle of two pointers and how far they are apart. */
function pinch(points: readonly Point[]): Point & { readonly spread: number } {
  const [a = { x: 0, y: 0 }, b = a] = points;
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, spread: Math.hypot(a.x - b.x, a.y - b.y) };
}
