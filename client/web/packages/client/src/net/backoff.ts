// How long to wait before reconnecting: longer each time that it brings nothing, and not for
// ever. Knows no clock: it takes what happened and returns the seconds to wait.

import type { StreamError } from './errors.ts';
import { ConnectionLostError } from './errors.ts';

const ATTEMPTS = 8; // in a row that bring nothing, once something has arrived
const FIRST_ATTEMPTS = 3;
const FIRST_WAIT_S = 0.25; // doubles with every attempt
const LONGEST_WAIT_S = 15;
const LONGEST_ASKED_S = 120; // that a server may ask for

/** Counts failures. */
export class Backoff {
  private failures = 0;

  /**
   * Seconds to wait after `error`, null to give up. `brought`: whether this connection has brought
   * anything; `isBegun`: whether any has.
   */
  wait(error: StreamError, brought: boolean, isBegun: boolean): number | null {
    if (!(error instanceof ConnectionLostError)) return null;
    this.failures = brought ? 1 : this.failures + 1;
    if (this.failures >= (isBegun ? ATTEMPTS : FIRST_ATTEMPTS)) return null;
    if (error.retryAfterS > LONGEST_ASKED_S) return null;
    const wait = Math.min(FIRST_WAIT_S * 2 ** (this.failures - 1), LONGEST_WAIT_S);
    return Math.max(wait, error.retryAfterS);
  }

  /** The network is back: the next failure counts as the first. */
  reset(): void {
    this.failures = 0;
  }
}
