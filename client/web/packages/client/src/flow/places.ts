// The places of the known parts of a file, by offset.

import type { ChunkRow, PageRow } from '../format/rows.ts';
import { pagePart, type PartRef } from './parts.ts';

/** A part and its place in the file. */
export interface Place {
  readonly part: number;
  readonly ref: PartRef;
}

/** A list by rising offset. */
export class Places {
  private list: Place[] = [];

  /** Adds parts that have become known. */
  add(rows: Iterable<ChunkRow>, pages: Iterable<PageRow> = []): void {
    const added: Place[] = [];
    for (const row of rows) added.push({ part: row.id, ref: row });
    for (const page of pages) added.push({ part: pagePart(page.id), ref: page });
    added.sort((a, b) => a.ref.offset - b.ref.offset);
    const merged: Place[] = [];
    let next = 0;
    for (const place of this.list) {
      while (next < added.length && added[next]!.ref.offset < place.ref.offset) merged.push(added[next++]!);
      merged.push(place);
    }
    for (; next < added.length; next++) merged.push(added[next]!);
    this.list = merged;
  }

  /** The part that begins at `offset`, and those behind it. */
  *from(offset: number): Iterable<Place> {
    for (let at = this.indexAt(offset); at < this.list.length; at++) yield this.list[at]!;
  }

  /** The last part that begins at `offset` or before, and the next one. */
  around(offset: number): [Place | undefined, Place | undefined] {
    const after = this.indexAt(offset + 1);
    return [this.list[after - 1], this.list[after]];
  }

  /** Parts that reach into a range. */
  in(start: number, end: number): Place[] {
    return this.list.slice(Math.max(this.indexAt(start) - 1, 0), this.indexAt(end));
  }

  /** Parts that end behind `size`. */
  beyond(size: number): Place[] {
    return this.list.filter(({ ref }) => ref.offset + ref.packedBytes > size);
  }

  /** How many parts start before `offset`. */
  private indexAt(offset: number): number {
    let low = 0;
    let high = this.list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.list[middle]!.ref.offset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
