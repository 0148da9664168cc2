// Which part comes next: by gain per byte and by how much of the view its cell fills
// (spec/protocol.md, section 10). Without a view the parts go in file order.

import { ChunkKind } from '../constants.ts';
import { covers, type ChunkRows, type PageRow } from '../format/rows.ts';
import type { View } from '../update.ts';
import { Heap, isBefore, type Ranked } from './heap.ts';
import { isPage, pagePart } from './parts.ts';
import type { PartPlan, Unit } from './plan.ts';
import { Ranks } from './ranks.ts';
import type { Sketch } from './sketch.ts';

/** Bytes to fetch next. */
export interface Slice {
  readonly part: number;
  readonly offset: number;
  readonly length: number;
  readonly fileOffset: number;
}

/** The parts of one file that have not been sent, and their order. */
export class Scheduler {
  /** Bytes of the file that have not gone, the poster left out. */
  missingBytes: number;

  private ranks: Ranks | null = null; // in the view
  private readonly whole = new Set<number>(); // parts
  private readonly begun = new Map<number, number>(); // part to bytes of it that have gone
  private readonly cancelled = new Set<number>();
  private readonly frontier = new Set<number>(); // units that may be sent now
  private nextPlace = 0; // places in file order below it have gone or are cancelled
  private units: Heap | null = null;
  private pages: Heap | null = null;
  private lacking: Unit | null = null; // something that the view lacks

  constructor(readonly plan: PartPlan) {
    const { header } = plan.head;
    this.missingBytes = header.fileBytes - header.posterEnd;
    this.open(plan.roots);
  }

  /** A scheduler of the same plan and view for which nothing has gone yet. */
  fresh(): Scheduler {
    const other = new Scheduler(this.plan);
    other.ranks = this.ranks;
    return other;
  }

  /** The bytes to fetch now, at most `most`; null when nothing that is wanted is left. */
  next(most = Infinity): Slice | null {
    const part = (this.ranks ? this.nextInView(this.ranks) : this.nextInFileOrder()) ?? this.pageLeft();
    const ref = part === null ? undefined : this.plan.ref(part);
    if (part === null || !ref) return null;
    const offset = this.begun.get(part) ?? 0;
    const length = Math.min(most, ref.packedBytes - offset);
    return { part, offset, length, fileOffset: ref.offset + offset };
  }

  /** Notes that these bytes are on their way. */
  record(slice: Slice): void {
    this.mark(slice.part, slice.offset + slice.length);
  }

  /** Whether every known part that the view shows has arrived. */
  isReadyForView(isHere: (chunk: number) => boolean, isFull: boolean): boolean {
    const { ranks } = this;
    const isMissing = (unit: Unit): boolean => {
      if (unit.kind === ChunkKind.EXTRA || unit.chunks.every(isHere)) return false;
      return !ranks || ranks.shows(unit);
    };
    // Usually the unit that was missing before is still missing.
    if (this.lacking && isMissing(this.lacking)) return false;
    this.lacking = this.plan.units.find(isMissing) ?? null;
    if (this.lacking) return false;
    // Where the budget is full, pages may never arrive.
    for (const page of isFull ? [] : this.plan.table.missingPages) {
      if (!ranks || ranks.showsPage(page)) return false;
    }
    return true;
  }

  /** Looks from here from now on. */
  setView(view: View | null): void {
    this.ranks = view && new Ranks(this.plan, view);
    this.units = this.pages = null;
  }

  /** Sets the sketch of layer 0, once that is here. */
  setSketch(sketch: Sketch): void {
    this.plan.screen.sketch = sketch;
    this.ranks?.renew();
    this.units = this.pages = null;
  }

  /** Sets how many bytes of a part have been sent: more as it arrives, fewer after a failure. */
  mark(part: number, sentBytes: number): void {
    const length = this.plan.length(part);
    const before = this.sentBytes(part);
    this.missingBytes += before - sentBytes;
    if (sentBytes < before) this.units = this.pages = null;
    this.begun.delete(part);
    if (sentBytes === length) this.whole.add(part);
    else {
      this.whole.delete(part);
      if (sentBytes > 0) this.begun.set(part, sentBytes);
      if (!isPage(part)) this.nextPlace = Math.min(this.nextPlace, this.plan.placeOf(part));
    }
    const unit = this.plan.unitOf.get(part);
    if (unit !== undefined) this.settle(unit);
  }

  /** Leaves these chunks out, and what needs them, until they are wanted. */
  cancel(parts: Iterable<number>): void {
    for (const part of parts) this.cancelled.add(part);
    this.units = null;
  }

  /** Takes cancels back; with `again` the chunks start again from their first byte. */
  want(parts: Iterable<number>, again = false): void {
    for (const part of parts) {
      this.cancelled.delete(part);
      this.nextPlace = Math.min(this.nextPlace, this.plan.placeOf(part));
      if (again) this.mark(part, 0);
    }
    this.units = null;
  }

  /** Enters a page of the chunk table. */
  addPage(page: PageRow, rows: ChunkRows): void {
    for (const unit of this.plan.addPage(page, rows)) this.settle(unit);
    this.ranks?.renew();
    this.units = this.pages = null;
  }

  /** The chunks that are left out for now. */
  cancelledParts(): number[] {
    return [...this.cancelled];
  }

  isWhole(part: number): boolean {
    return this.whole.has(part);
  }

  isCancelled(part: number): boolean {
    return this.cancelled.has(part);
  }

  sentBytes(part: number): number {
    return this.whole.has(part) ? this.plan.length(part) : (this.begun.get(part) ?? 0);
  }

  // What may be sent now.

  private isDone(unit: Unit): boolean {
    return unit.chunks.every((chunk) => this.whole.has(chunk));
  }

  private isOpen(unit: Unit): boolean {
    if (!unit.isLinked) return false;
    for (let needs = unit.needs; needs !== null; ) {
      const below = this.plan.units[needs]!;
      if (!below.isLinked || !this.isDone(below)) return false;
      needs = below.needs;
    }
    return true;
  }

  /** Updates the frontier after a change of what has been sent of a unit. */
  private settle(number: number): void {
    const unit = this.plan.units[number]!;
    if (this.isDone(unit)) {
      this.frontier.delete(number);
      if (this.isOpen(unit)) this.open(unit.unlocks);
      return;
    }
    this.close(unit.unlocks);
    if (!this.frontier.has(number) && this.isOpen(unit)) {
      this.frontier.add(number);
      this.units = null;
    }
  }

  private open(numbers: Iterable<number>): void {
    const pending = [...numbers];
    for (let number = pending.pop(); number !== undefined; number = pending.pop()) {
      const unit = this.plan.units[number]!;
      if (this.isDone(unit)) pending.push(...unit.unlocks);
      else if (!this.frontier.has(number)) {
        this.frontier.add(number);
        if (this.units && this.ranks) this.units.push(this.rank(this.ranks, number));
      }
    }
  }

  private close(numbers: Iterable<number>): void {
    const pending = [...numbers];
    for (let number = pending.pop(); number !== undefined; number = pending.pop()) {
      if (!this.frontier.delete(number)) {
        const unit = this.plan.units[number]!;
        if (this.isDone(unit)) pending.push(...unit.unlocks);
      }
    }
  }

  // The order.

  private nextInFileOrder(): number | null {
    for (; this.nextPlace < this.plan.chunkCount; this.nextPlace++) {
      const chunk = this.plan.chunkAt(this.nextPlace);
      // The pages of a group come before its chunks; a page on its way has to arrive first.
      if (chunk === null) return this.firstPage(this.plan.groupAt(this.nextPlace));
      if (this.whole.has(chunk) || this.cancelled.has(chunk)) continue;
      return this.firstPage(this.plan.groupAt(this.nextPlace)) ?? chunk;
    }
    return null;
  }

  private nextInView(ranks: Ranks): number | null {
    if (!this.units) {
      this.units = new Heap();
      for (const number of this.frontier) this.units.push(this.rank(ranks, number));
    }
    const page = this.unknownPage(ranks);
    for (let first = this.units.first; first; first = this.units.first) {
      const chunk = this.frontier.has(first.item) ? this.firstMissing(first.item) : null;
      if (chunk === null || !this.canGo(chunk)) {
        this.units.pop();
        continue;
      }
      if (page && isBefore(page, first)) break;
      return this.withBasis(chunk);
    }
    return page ? page.item : null;
  }

  /** Whether the BASIS that an SH needs has gone, or can go before it. */
  private canGo(chunk: number): boolean {
    const { plan } = this;
    if (plan.table.row(chunk)?.kind !== ChunkKind.SH) return true;
    if (plan.basis === null) return false;
    const unit = plan.units[plan.basis]!;
    return this.isDone(unit) || !unit.chunks.some((basis) => this.cancelled.has(basis));
  }

  private withBasis(chunk: number): number {
    const { basis } = this.plan;
    if (this.plan.table.row(chunk)?.kind === ChunkKind.SH && basis !== null) {
      const first = this.firstMissing(basis);
      if (first !== null) return this.pageFirst(first);
    }
    return this.pageFirst(chunk);
  }

  private pageFirst(chunk: number): number {
    const page = this.plan.pageOf(chunk);
    return page && !this.whole.has(pagePart(page.id)) ? pagePart(page.id) : chunk;
  }

  /** The chunk of a unit to send next; null where nothing is missing, or some of it is cancelled. */
  private firstMissing(number: number): number | null {
    const missing = this.plan.units[number]!.chunks.filter((chunk) => !this.whole.has(chunk));
    if (missing.some((chunk) => this.cancelled.has(chunk))) return null;
    return missing.find((chunk) => this.begun.has(chunk)) ?? missing[0] ?? null;
  }

  private rank(ranks: Ranks, number: number): Ranked {
    let sent = 0;
    for (const chunk of this.plan.units[number]!.chunks) sent += this.sentBytes(chunk);
    return ranks.unit(number, sent);
  }

  // Pages that are not known.

  /** The unknown page that may hold the best; earlier ones that may list what its cells need first. */
  private unknownPage(ranks: Ranks): Ranked | null {
    if (this.plan.table.isComplete) return null;
    if (!this.pages) {
      this.pages = new Heap();
      for (const page of this.plan.table.missingPages) this.pages.push(ranks.page(page));
    }
    for (let first = this.pages.first; first; first = this.pages.first) {
      const wanted = this.plan.pages[first.item - 1]!;
      const before = this.plan.pages.slice(0, wanted.id - 1).filter((page) => covers(page, wanted));
      const part = this.firstPage([...before, wanted]);
      if (part !== null) return { score: first.score, tie: first.tie, item: part };
      this.pages.pop();
    }
    return null;
  }

  private firstPage(pages: readonly PageRow[]): number | null {
    const page = pages.find((candidate) => !this.whole.has(pagePart(candidate.id)));
    return page ? pagePart(page.id) : null;
  }

  /** A page that no chunk has called for. */
  private pageLeft(): number | null {
    if (this.cancelled.size > 0) return null;
    return this.firstPage(this.plan.pages);
  }
}
