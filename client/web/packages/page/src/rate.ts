// The rate at which bytes arrive, over the last two seconds.

const WINDOW_MS = 2000;

export class RateMeter {
  #samples: { readonly ms: number; readonly bytes: number }[] = [];

  /** Takes the number of bytes that have arrived by now. */
  add(nowMs: number, bytes: number): void {
    this.#samples.push({ ms: nowMs, bytes });
    while (this.#samples.length > 2 && this.#samples[1]!.ms < nowMs - WINDOW_MS) this.#samples.shift();
  }

  /** Bytes per second. */
  rate(nowMs: number): number {
    const [first] = this.#samples;
    const last = this.#samples[this.#samples.length - 1];
    if (!first || !last || last.ms < nowMs - WINDOW_MS) return 0;
    const span = nowMs - first.ms;
    return span > 0 ? (1000 * (last.bytes - first.bytes)) / span : 0;
  }
}
