// Something that is to be done soon, but not more often than every so many seconds.

import { nowS } from '../net/clock.ts';

/** Does `act` once for many requests that come quickly one after another. */
export class Pace {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private lastS = -Infinity;

  constructor(
    private readonly act: () => void,
    private readonly everyS: number,
  ) {}

  /** Does it as soon as may be, never within this call. */
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

  /** Leaves out what was to be done. */
  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
