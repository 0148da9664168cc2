// Where a scene comes from, as the viewer sees it: @exgs/client's `openScene` gives such a source, and
// any other object with this interface works. Events are CustomEvents with the `detail` of the table.

import type { OpenOptions } from '@exgs/client';
import type { Poster, SceneFacts, SceneUpdate, View } from '@exgs/client/update';

/** Splats and bytes that a scene may keep. */
export interface Budget {
  readonly splats: number;
  readonly bytes: number;
}

/** Types of `detail` by event. */
export interface SourceEvents {
  open: SceneFacts;
  poster: Poster;
  update: SceneUpdate;
  /** All that the present view shows is here. */
  ready: unknown;
  complete: unknown;
  error: Error;
  /** The link has dropped; it is tried again. */
  reconnecting: { readonly waitS: number; readonly reason: string };
  /** A part failed its checks; it is asked for again. */
  damaged: unknown;
  /** The scene on the server has changed: `open` follows again. */
  changed: unknown;
}

export interface SceneSource {
  addEventListener(
    type: keyof SourceEvents,
    listener: (event: Event) => void,
    options?: { signal?: AbortSignal },
  ): void;
  look(view: View): void;
  setBudget(budget: Budget): void;
  /** Bytes per second to let through, to try a slow link. */
  setRate?(rate: number): void;
  /** Holds updates back until `resume`: the screen does not keep up. */
  pause?(): void;
  resume?(): void;
  dispose(): void;
}

export type Opener = (from: string | Blob, options: OpenOptions) => SceneSource;

/** Listens to a source with its types. */
export function listen<T extends keyof SourceEvents>(
  source: SceneSource,
  type: T,
  signal: AbortSignal,
  listener: (detail: SourceEvents[T]) => void,
): void {
  const heard = (event: Event): void => listener((event as CustomEvent<SourceEvents[T]>).detail);
  source.addEventListener(type, heard, { signal });
}
