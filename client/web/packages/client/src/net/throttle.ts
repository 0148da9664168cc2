// A slow link, simulated: bytes become due at a rate. Knows no clock.

/** Computes when bytes that have arrived may be used. */
export class Throttle {
  private dueS = 0;

  constructor(
    /** Bytes per second; Infinity lets all pass. */
    public rate: number,
  ) {}

  /** Seconds to hold back `bytes` that came at `nowS`. */
  delay(bytes: number, nowS: number): number {
    if (!Number.isFinite(this.rate)) return 0;
    this.dueS = Math.max(this.dueS, nowS) + bytes / this.rate;
    return this.dueS - nowS;
  }

  /** Bytes to ask for at a time, so that a new view changes what arrives within about a second. */
  get window(): number {
    return Number.isFinite(this.rate) ? Math.max(this.rate, 1 << 14) : Infinity;
  }
}
