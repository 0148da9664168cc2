// Events of the viewer with their types.

import type { ExgsViewer, ViewerEvents } from '@exgs/viewer';

/** Listens to a viewer; `listener` gets the event's detail. */
export function on<T extends keyof ViewerEvents>(
  viewer: ExgsViewer,
  type: T,
  listener: (detail: ViewerEvents[T]) => void,
): void {
  viewer.addEventListener(type, (event: Event) => listener((event as CustomEvent).detail));
}
