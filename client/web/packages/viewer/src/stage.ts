// The parts of a scene on the way to the screen, with their slots and groups, and the transactions
// that wait until all of their splats are uploaded and in the order. Then these fade in together.

import type { GroupState, Progress } from '@exgs/client/update';
import type { Span } from './splats/layout.ts';

/** A part that has slots. */
export interface Part {
  readonly id: number; // keys of the client may be used again, these never
  readonly count: number; // splats
  readonly spans: readonly Span[];
  readonly firstGroup: number;
  readonly groupCount: number;
  hasSh: boolean;
  dying: boolean; // dropped, but not faded out yet
  dead: boolean; // its slots may be others' by now
}

/** The next state of a group, by its number. */
export interface NextState extends Pick<GroupState, 'visible' | 'amplification'> {
  readonly group: number;
}

/** One transaction. Keys are looked up when it arrives: later they may name other parts. */
export interface Stage {
  readonly progress: Progress;
  readonly states: readonly NextState[];
  readonly dropped: readonly Part[];
  readonly newSh: readonly Part[]; // get their first harmonics here
  readonly coming: ReadonlySet<number>; // groups that it shows
  readonly reorders: boolean; // means may have changed
  uploads: number; // that are still to come
  order: number | null; // serial of the one it waits for; null before all is uploaded
}

/** The numbers of a part's groups. */
export function groupsOf(part: Part): number[] {
  return Array.from({ length: part.groupCount }, (_, child) => part.firstGroup + child);
}
