// Frames on demand: one is asked for when something has changed, and none comes while the element is
// hidden or off the screen.

export class Loop {
  readonly #tick: (nowMs: number, force: boolean) => boolean; // whether another frame is needed
  readonly #paused = { hidden: false, offScreen: false, off: false };
  #handle = 0;
  #wanted = false;
  #lastMs = 0;
  #frameMs = 0;

  constructor(tick: (nowMs: number, force: boolean) => boolean) {
    this.#tick = tick;
  }

  get paused(): boolean {
    return Object.values(this.#paused).some(Boolean);
  }

  /** Time between frames lately, ms; 0 while nothing moves. */
  get frameMs(): number {
    return this.#handle === 0 ? 0 : this.#frameMs;
  }

  /** Asks for a frame. */
  request(): void {
    this.#wanted = true;
    if (this.#handle === 0 && !this.paused) {
      this.#handle = requestAnimationFrame((now) => this.#run(now));
    }
  }

  /** Halts for a reason, or lets go of it; a frame that was asked for meanwhile comes then. */
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
    const gap = nowMs - this.#lastMs;
    this.#frameMs = gap < 1000 && this.#frameMs > 0 ? 0.9 * this.#frameMs + 0.1 * gap : gap;
    this.#lastMs = nowMs;
    this.#handle = 0;
    this.#once(nowMs, false);
  }

  #once(nowMs: number, force: boolean): void {
    this.#wanted = false;
    if (this.#tick(nowMs, force)) this.request();
    else if (!this.#wanted) this.#frameMs = 0;
  }
}
