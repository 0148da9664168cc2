// Time for the shells: seconds, and waiting that an AbortSignal ends.

/** Seconds on a clock that never goes back. */
export function nowS(): number {
  return performance.now() / 1000;
}

/** Waits; raises the signal's reason where that is aborted first. */
export function sleep(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, seconds * 1000);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

/** Something that can be waited for again and again. */
export class Bell {
  private ring: () => void = () => {};
  private next = new Promise<void>((resolve) => (this.ring = resolve));

  /** Resolves at the next ring. */
  get rung(): Promise<void> {
    return this.next;
  }

  /** Wakes all who wait. */
  strike(): void {
    this.ring();
    this.next = new Promise<void>((resolve) => (this.ring = resolve));
  }
}
