// Starts a worker whose code is at an address, or, in a page of one file, in an element (`#id`).

/** A worker from one of these places. Its code imports nothing. */
export function startWorker(place: string): Worker {
  if (!place.startsWith('#')) return new Worker(place, { type: 'module' });
  const code = document.getElementById(place.slice(1))?.textContent ?? '';
  const url = URL.createObjectURL(new Blob([code], { type: 'text/javascript' }));
  return new Worker(url); // a page from disk may start no module
}
