// Frames on demand: one is requested when something has changed, and none is drawn while the element is
// hidden or off the screen.

const USUAL_MS = 1000 / 60; // between frames, before a time has been measured
const SLOW_MS = 200; // longer times are not averaged

/** What a tick did: whether a frame came to the canvas, and whether another tick is needed. */
export interface Tick {
  readonly drew: boolean;
  readonly again: boolean;
}

export class Loop {
  readonly #tick: (nowMs: number, force: boolean) => Tick;
  readonly #paused = { hidden: false, offScreen: false, off: false };
  #handle = 0;
  #wanted = false;
  #drawnMs: number | null = null; // time of the last frame; null after a rest
  #frameMs: number | null = null;

  constructor(tick: (nowMs: number, force: boolean) => Tick) {
    this.#tick = tick;
  }

  get paused(): boolean {
    return Object.values(this.#paused).some(Boolean);
  }

  /** Recent time between frames on the canvas, ms; 0 while nothing changes. */
  get frameMs(): number {
    return this.#handle === 0 ? 0 : (this.#frameMs ?? USUAL_MS);
  }

  /** Asks for a frame. */
  request(): void {
    this.#wanted = true;
    if (this.#handle === 0 && !this.paused) {
      this.#handle = requestAnimationFrame((now) => this.#run(now));
    }
  }

  /** Pauses for a reason, or ends that; a frame that was requested meanwhile is drawn then. */
  pause(reason: 'hidden' | 'offScreen' | 'off', on: boolean): void {
    this.#paused[reason] = on;
    if (this.paused) {
      cancelAnimationFrame(this.#handle);
      this.#handle = 0;
    } else if (this.#wanted) {
      this.request();
    }
  }

  /** Draws a frame now, whatever it costs. */
  now(): void {
    if (!this.paused) this.#once(performance.now(), true);
  }

  #run(nowMs: number): void {
    this.#handle = 0;
    this.#once(nowMs, false);
  }

  #once(nowMs: number, force: boolean): void {
    this.#wanted = false;
    const { drew, again } = this.#tick(nowMs, force);
    if (drew) this.#measure(nowMs);
    if (again) this.request();
    else if (!this.#wanted) [this.#drawnMs, this.#frameMs] = [null, null];
  }

  #measure(nowMs: number): void {
    if (this.#drawnMs !== null) {
      const gap = nowMs - this.#drawnMs;
      const isSteady = this.#frameMs !== null && gap < SLOW_MS;
      this.#frameMs = isSteady ? 0.9 * this.#frameMs! + 0.1 * gap : gap;
    }
    this.#drawnMs = nowMs;
  }
}
