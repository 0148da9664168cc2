// Parts: what a scene is fetched in. A part is a chunk of the file or a page of its chunk table;
// pages set the top bit of their part id (spec/protocol.md, section 1).

import { PAGE_PART_BIT } from '../constants.ts';

/** The part id of a page. */
export function pagePart(page: number): number {
  return page + PAGE_PART_BIT;
}

/** Whether a part is a page of the chunk table. */
export function isPage(part: number): boolean {
  return part >= PAGE_PART_BIT;
}

/** The page behind a part id for which `isPage` holds. */
export function pageId(part: number): number {
  return part - PAGE_PART_BIT;
}

/** A part's name in messages. */
export function partName(part: number): string {
  return isPage(part) ? `page ${pageId(part)}` : `chunk ${part}`;
}

/** What of a part every transport needs to know. */
export interface PartRef {
  readonly section: string;
  readonly offset: number;
  readonly packedBytes: number;
  readonly hash: Uint8Array;
}
