// How a viewer gets its worker. A page in a single file has no second script to point at: it sets a
// factory of its own.

let factory: () => Worker = () =>
  new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'exgs-viewer' });

/** A new worker that runs `sort/worker.ts`. */
export function createWorker(): Worker {
  return factory();
}

/** Sets how workers are made from now on. */
export function setWorkerFactory(make: () => Worker): void {
  factory = make;
}
