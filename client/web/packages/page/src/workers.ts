// Workers that the inline script has started; later ones are started from the same places.

import { setWorkerFactory } from '@exgs/viewer';
import type { Boot } from './boot_types.ts';
import { startWorker } from './start_worker.ts';

declare const CLIENT_WORKER: string; // places, filled in by the build
declare const SORT_WORKER: string;

/** Has the viewer take the sorting worker that is on its way. */
export function adoptSortWorker(boot: Boot): void {
  setWorkerFactory(() => taken(boot, 'sortWorker', SORT_WORKER));
}

/** The worker for one scene. */
export function clientWorker(boot: Boot): Worker {
  return taken(boot, 'clientWorker', CLIENT_WORKER);
}

function taken(boot: Boot, which: 'clientWorker' | 'sortWorker', place: string): Worker {
  const worker = boot[which];
  boot[which] = null;
  return worker ?? startWorker(place);
}

/** Brings the workers' code into the browser's cache, for the scene that is opened from this page. */
export function fetchWorkersAhead(): void {
  for (const place of [CLIENT_WORKER, SORT_WORKER]) {
    if (!place.startsWith('#')) void fetch(place, { priority: 'low' }).catch(() => {});
  }
}
