// The worker within the page's own code, for pages that are one file. A strict Content-Security-
// Policy has to let `worker-src blob:` in for it; served pages use the separate file instead.

import InlineWorker from './worker/entry.ts?worker&inline';

/** Starts the worker from code in the page: give it to `openScene` as `worker`. */
export function inlineWorker(): Worker {
  return new InlineWorker({ name: 'exgs' });
}
