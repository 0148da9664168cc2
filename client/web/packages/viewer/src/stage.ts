// The parts of a scene on the way to the screen: which slots and groups each has, and transactions
// that wait until all of their splats are uploaded and in the order. Then they fade in together.

import type { SceneUpdate } from '@exgs/client/update';
import type { Span } from './splats/layout.ts';

/** A part that has slots. */
export interface Part {
  readonly id: number; // keys of the client may come again, these never
  readonly spans: readonly Span[];
  readonly firstGroup: number;
  readonly groupCount: number;
  hasSh: boolean;
  dying: boolean; // dropped, but not faded out yet
  dead: boolean; // its slots may be others' by now
}

/** One transaction. */
export interface Stage {
  readonly update: SceneUpdate;
  readonly newSh: Set<Part>; // got their first harmonics here
  uploads: number; // that are still to come
  sort: number | null; // serial of the order it waits for; null before all is uploaded
}

export function stageOf(update: SceneUpdate): Stage {
  return { update, newSh: new Set(), uploads: 0, sort: null };
}

/** The numbers of a part's groups. */
export function groupsOf(part: Part): number[] {
  return Array.from({ length: part.groupCount }, (_, child) => part.firstGroup + child);
}
