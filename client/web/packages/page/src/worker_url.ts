// Where a worker's code is: at an address, or, in a page of one file, in an element (`#id`).

/** An address that a Worker can be started from. */
export function workerUrl(place: string): string {
  if (!place.startsWith('#')) return place;
  const code = document.getElementById(place.slice(1))?.textContent ?? '';
  return URL.createObjectURL(new Blob([code], { type: 'text/javascript' }));
}
