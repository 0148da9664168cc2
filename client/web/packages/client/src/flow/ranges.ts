// The static profile without HTTP: which byte ranges to request, and the parts in the bytes that arrive.
// Several ranges may be on their way; the bytes of one arrive in order. Knows no sockets, no clocks.

import { checkHash } from '../format/frame.ts';
import { DamagedError, FormatError, TruncatedError } from '../errors.ts';
import { HEAD_BYTES, readHead } from '../format/head.ts';
import type { ChunkRow, PageRow } from '../format/rows.ts';
import { isPage, pageId, type PartRef } from './parts.ts';
import { Places, type Place } from './places.ts';
import type { Receiver } from './receiver.ts';

/**
 * Length of the first range: it holds the head, the poster and as a rule the coarsest layer, which is the
 * first picture. No more, since a page's code comes over the same link at the same time.
 */
export const FRONT_BYTES = 32 << 10;

const MOST_DAMAGED = 3; // times that a part may arrive damaged before it is given up

/** Bytes of the file from `start` to before `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

interface Held {
  readonly bytes: Uint8Array;
  length: number;
}

/** Turns ranges of one file into parts for a receiver. */
export class RangeReader {
  private front = new Uint8Array(0); // the file's first bytes, until the head can be read
  private readonly onTheWay = new Set<ByteRange>();
  private everything: ByteRange | null = null; // an answer that brings the whole file
  private readonly places = new Places();
  private readonly held = new Map<number, Held>(); // the first bytes of parts
  private readonly whole = new Set<number>();
  private readonly damaged = new Map<number, number>(); // part to how often
  private lost: FormatError | null = null; // the fault of the first chunk that was given up
  private poster: Held | null = null;
  private turn: Promise<void> = Promise.resolve();

  constructor(
    private readonly receiver: Receiver,
    /** Called with each part that has passed its checks, the head first. */
    private readonly keep: (offset: number, bytes: Uint8Array) => void = () => {},
  ) {
    if (receiver.plan) this.list(receiver.plan.table.rows(), receiver.plan.pages);
  }

  /** Whether nothing is on the way and nothing that is wanted is missing. */
  get isDone(): boolean {
    const { scheduler } = this.receiver;
    return scheduler !== null && this.onTheWay.size === 0 && scheduler.next() === null;
  }

  /** Raises the fault of a chunk that was given up, once everything else has arrived. */
  checkLost(): void {
    if (this.lost && this.isDone) throw this.lost;
  }

  /**
   * The range to ask for now: the next parts, up to `sizeBytes` and at least one. Where the next
   * ones do not lie together it goes on along the file for `leastBytes`. Null where there is
   * nothing to request until something has arrived.
   */
  claim(sizeBytes: number, leastBytes = 0): ByteRange | null {
    const { scheduler } = this.receiver;
    if (!scheduler) return this.claimFront();
    if (this.everything) return null;
    let start = -1;
    let end = -1;
    for (let slice = scheduler.next(); slice; slice = scheduler.next()) {
      if (start >= 0 && (slice.fileOffset !== end || end + slice.length - start > sizeBytes)) break;
      if (start < 0) start = slice.fileOffset;
      end = slice.fileOffset + slice.length;
      scheduler.record(slice);
    }
    if (start < 0) return null;
    for (const { part, ref } of this.places.from(end)) {
      if (ref.offset !== end || scheduler.sentBytes(part) || scheduler.isCancelled(part)) break;
      if (end + ref.packedBytes - start > leastBytes) break;
      scheduler.mark(part, ref.packedBytes);
      end += ref.packedBytes;
    }
    return this.send({ start, end });
  }

  /** The answer to `asked` brings the whole file; null where another does already. */
  claimAll(asked: ByteRange): ByteRange | null {
    const isFirst = this.everything === null;
    if (isFirst) this.everything = this.send({ start: 0, end: Infinity });
    this.finish(asked);
    return isFirst ? this.everything : null;
  }

  /** Whether a range touches a part that arrived damaged: it has to be requested past caches. */
  cameDamaged(range: ByteRange): boolean {
    return this.damaged.size > 0 && this.touched(range).some(({ part }) => this.damaged.has(part));
  }

  /** A range has brought all that it will. */
  finish(range: ByteRange): void {
    this.onTheWay.delete(range);
    if (range === this.everything) this.everything = null;
    this.count(this.touched(range));
  }

  /** The connections are lost: what has not arrived is to be requested again. */
  release(): void {
    for (const range of [...this.onTheWay]) this.finish(range);
  }

  /** The source ends at `size`: parts beyond it are not requested any more. */
  giveUp(size: number): void {
    const lost = this.places.beyond(size).map(({ part }) => part);
    this.receiver.scheduler?.cancel(lost.filter((part) => !isPage(part)));
  }

  /** These chunks are to be fetched again from their first byte. */
  forget(chunks: Iterable<number>): void {
    for (const chunk of chunks) this.whole.delete(chunk);
  }

  /** Bytes of the file from `position` on; raises FormatError. Calls are served one by one. */
  take(position: number, data: Uint8Array): Promise<void> {
    const done = this.turn.then(() => this.enter(position, data));
    this.turn = done.catch(() => {});
    return done;
  }

  private claimFront(): ByteRange | null {
    if (this.onTheWay.size > 0) return null;
    return this.send({ start: this.front.length, end: this.front.length + FRONT_BYTES });
  }

  private send(range: ByteRange): ByteRange {
    this.onTheWay.add(range);
    return range;
  }

  private async enter(position: number, data: Uint8Array): Promise<void> {
    if (!this.receiver.head) {
      if (position > this.front.length) return;
      const joined = new Uint8Array(Math.max(this.front.length, position + data.length));
      joined.set(this.front);
      joined.set(data, position);
      this.front = joined;
      if (!(await this.open())) return;
      position = this.receiver.head!.header.rootEnd;
      data = this.front.subarray(position);
      this.front = new Uint8Array(0);
    }
    data = await this.enterPoster(position, data);
    position = Math.max(position, this.receiver.head!.header.posterEnd);
    while (data.length > 0) {
      const [place, next] = this.places.around(position);
      const end = place ? place.ref.offset + place.ref.packedBytes : 0;
      if (!place || position >= end) {
        // Bytes of a chunk that no page lists yet.
        const skipped = next ? next.ref.offset - position : data.length;
        position += skipped;
        data = data.subarray(skipped);
        continue;
      }
      const size = Math.min(data.length, end - position);
      await this.enterPart(place, position - place.ref.offset, data.subarray(0, size));
      position += size;
      data = data.subarray(size);
    }
  }

  private async open(): Promise<boolean> {
    try {
      const head = await readHead(this.front);
      this.receiver.open(head);
      this.keep(0, head.bytes);
    } catch (error) {
      if (error instanceof TruncatedError && this.front.length < HEAD_BYTES) return false;
      throw error;
    }
    const { table, pages } = this.receiver.plan!;
    this.list(table.rows(), pages);
    return true;
  }

  /** Takes what belongs to the poster; returns the rest. */
  private async enterPoster(position: number, data: Uint8Array): Promise<Uint8Array> {
    const { rootEnd, posterEnd, posterBytes } = this.receiver.head!.header;
    if (position >= posterEnd) return data;
    const before = Math.max(rootEnd - position, 0);
    const rest = data.subarray(Math.min(before, data.length));
    const own = rest.subarray(0, posterEnd - Math.max(position, rootEnd));
    this.poster ??= { bytes: new Uint8Array(posterBytes), length: 0 };
    if (this.poster.length === Math.max(position, rootEnd) - rootEnd) {
      this.poster.bytes.set(own, this.poster.length);
      this.poster.length += own.length;
      if (this.poster.length === posterBytes) {
        try {
          await this.receiver.takePoster(this.poster.bytes);
          this.keep(rootEnd, this.poster.bytes);
        } catch (error) {
          if (!(error instanceof DamagedError)) throw error;
          this.receiver.listener.damaged('poster', error);
        }
      }
    }
    return rest.subarray(own.length);
  }

  private async enterPart({ part, ref }: Place, offset: number, data: Uint8Array): Promise<void> {
    if (this.whole.has(part) || this.isHere(part)) return;
    let held = this.held.get(part);
    if (!held) {
      held = { bytes: new Uint8Array(ref.packedBytes), length: 0 };
      this.held.set(part, held);
    }
    if (offset > held.length) return;
    const fresh = data.subarray(held.length - offset);
    held.bytes.set(fresh, held.length);
    held.length += fresh.length;
    if (held.length < ref.packedBytes) return;
    this.held.delete(part);
    await this.complete(part, ref, held.bytes);
  }

  private async complete(part: number, ref: PartRef, bytes: Uint8Array): Promise<void> {
    const scheduler = this.receiver.scheduler!;
    if (this.isHere(part)) {
      this.whole.add(part); // it has arrived from elsewhere meanwhile
      return;
    }
    try {
      await checkHash(ref, bytes);
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      this.failed(part, error);
      return;
    }
    this.whole.add(part);
    this.damaged.delete(part);
    scheduler.mark(part, bytes.length);
    this.keep(ref.offset, bytes);
    if (isPage(part)) {
      const page = this.receiver.head!.root.pages[pageId(part) - 1]!;
      this.list(this.receiver.addPage(page, bytes).rows);
      return;
    }
    const row = this.receiver.plan!.table.row(part)!;
    for (const fault of this.receiver.addChunk(row, bytes)) {
      // Its hash is right, so a second request would bring the same.
      throw fault.error;
    }
  }

  private isHere(part: number): boolean {
    const { plan } = this.receiver;
    return isPage(part) ? plan!.table.hasPage(pageId(part)) : this.receiver.has(part);
  }

  private failed(part: number, error: FormatError): void {
    const times = (this.damaged.get(part) ?? 0) + 1;
    this.damaged.set(part, times);
    this.receiver.listener.damaged(error.section, error);
    this.receiver.scheduler!.mark(part, 0);
    if (times <= MOST_DAMAGED) return;
    if (isPage(part)) throw error;
    this.lost ??= error; // the rest of the scene comes first
    this.receiver.scheduler!.cancel([part]);
  }

  /** Lists the places of parts that have become known, and counts what is on the way of them. */
  private list(rows: Iterable<ChunkRow>, pages: Iterable<PageRow> = []): void {
    this.places.add(rows, pages);
    for (const range of this.onTheWay) this.count(this.touched(range));
  }

  /** Informs the scheduler how much of these parts has arrived or is on the way. */
  private count(places: readonly Place[]): void {
    const { scheduler } = this.receiver;
    for (const { part, ref } of places) {
      if (!scheduler || this.whole.has(part) || this.isHere(part)) continue;
      const end = ref.offset + ref.packedBytes;
      let reached = ref.offset + (this.held.get(part)?.length ?? 0);
      const ranges = [...this.onTheWay].sort((a, b) => a.start - b.start);
      for (const range of ranges) if (range.start <= reached) reached = Math.max(reached, range.end);
      const coming = Math.min(reached, end) - ref.offset;
      if (coming !== scheduler.sentBytes(part)) scheduler.mark(part, coming);
    }
  }

  private touched({ start, end }: ByteRange): Place[] {
    return this.places.in(start, end);
  }
}
