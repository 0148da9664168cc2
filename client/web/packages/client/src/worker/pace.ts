// Something that is to be done soon, but with a least interval between two times.

import { nowS } from '../net/clock.ts';

/** Does `act` once for many requests in quick succession. */
export class Pace {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private lastS = -Infinity;

  constructor(
    private readonly act: () => void,
    private readonly everyS: number,
  ) {}

  /** Does it as soon as the interval allows, never within this call. */
  soon(): void {
    if (this.timer !== undefined) return;
    const waitS = Math.max(this.lastS + this.everyS - nowS(), 0);
    this.timer = setTimeout(() => this.now(), waitS * 1000);
  }

  /** Does it at once. */
  now(): void {
    this.stop();
    this.lastS = nowS();
    this.act();
  }

  /** Cancels what was to be done. */
  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
