// The dependencies of a file: its parts as units that are useful only as a whole, and what each unit needs.
// A unit is what a cell needs to be drawn (LEAF, PROXY, the SH joined to them), or one kind of what
// refines it, or the BASIS. A cell needs its parent, a refinement its cell.

import { ChunkKind } from '../constants.ts';
import type { FileHead } from '../format/head.ts';
import { cellKey, type ChunkRow, type ChunkRows, type PageRow } from '../format/rows.ts';
import type { ChunkTable } from '../format/table.ts';
import type { Box } from '../update.ts';
import { isPage, pageId, type PartRef } from './parts.ts';
import { Screen } from './sight.ts';

/** Chunks that are useful together. */
export interface Unit {
  /** LEAF for all that a cell needs to be drawn. */
  readonly kind: number;
  readonly layer: number;
  readonly tile: number;
  /** By rising id. */
  readonly chunks: number[];
  gain: number;
  packedBytes: number;
  /** Whether what it needs is known. */
  isLinked: boolean;
  /** The unit that has to be whole before this one is useful. */
  needs: number | null;
  readonly unlocks: Set<number>;
}

const NO_BOX: Box = { low: [0, 0, 0], high: [0, 0, 0] };

/** The units of one file, as far as its table is known, and the places of its parts. */
export class PartPlan {
  readonly units: Unit[] = [];
  /** Chunk id to unit. */
  readonly unitOf = new Map<number, number>();
  /** Units that need no other. */
  readonly roots = new Set<number>();
  /** The unit of the BASIS. */
  basis: number | null = null;
  readonly screen: Screen;

  private readonly numbers = new Map<number, number>();
  private readonly orphans = new Map<number, Set<number>>();
  private readonly groups: PageRow[][] = [];
  private readonly groupStarts: number[] = [];
  private readonly orders = new Map<number, number[]>(); // of groups of several pages

  constructor(
    readonly head: FileHead,
    readonly table: ChunkTable,
  ) {
    this.screen = new Screen(head, table);
    for (const page of head.root.pages) {
      if (page.group === this.groups.length) {
        this.groups.push([]);
        this.groupStarts.push(page.firstChunk);
      }
      this.groups[page.group]!.push(page);
    }
    this.enter(table.rows());
    this.groups.forEach((_, group) => this.sortGroup(group));
  }

  get chunkCount(): number {
    return this.head.root.chunkCount;
  }

  get pages(): readonly PageRow[] {
    return this.head.root.pages;
  }

  /** Enters a page; returns the units that are new or have grown. */
  addPage(page: PageRow, rows: ChunkRows): Set<number> {
    this.table.addPage(page, rows);
    const touched = this.enter(rows.rows);
    this.sortGroup(page.group);
    return touched;
  }

  /** The place of a known part; undefined for a chunk that no known page lists. */
  ref(part: number): PartRef | undefined {
    return isPage(part) ? this.pages[pageId(part) - 1] : this.table.row(part);
  }

  /** Packed bytes of a known part. */
  length(part: number): number {
    return this.ref(part)?.packedBytes ?? 0;
  }

  /** The page that lists a chunk, undefined where the root index does. */
  pageOf(chunk: number): PageRow | undefined {
    return lastUpTo(this.pages, chunk, (page) => page.firstChunk);
  }

  /** The pages of the group that a place in file order belongs to; none for the root. */
  groupAt(place: number): readonly PageRow[] {
    return this.groups[lastIndexUpTo(this.groupStarts, place, (start) => start)] ?? [];
  }

  /** The chunk at a place in file order; null where not all pages of its group are known. */
  chunkAt(place: number): number | null {
    const group = lastIndexUpTo(this.groupStarts, place, (start) => start);
    if (group < 0 || this.groups[group]!.length === 1) return this.unitOf.has(place) ? place : null;
    return this.orders.get(group)?.[place - this.groupStarts[group]!] ?? null;
  }

  /** The place of a chunk in file order; that of its group's first while that is unknown. */
  placeOf(chunk: number): number {
    const group = lastIndexUpTo(this.groupStarts, chunk, (start) => start);
    if (group < 0 || this.groups[group]!.length === 1) return chunk;
    const order = this.orders.get(group);
    return this.groupStarts[group]! + (order ? order.indexOf(chunk) : 0);
  }

  /** The box of a unit's cell. */
  box(unit: Unit): Box {
    return this.table.box(unit.layer, unit.tile) ?? NO_BOX;
  }

  private enter(rows: Iterable<ChunkRow>): Set<number> {
    const touched = new Set<number>();
    for (const row of rows) {
      const number = this.unitFor(row);
      const unit = this.units[number]!;
      unit.chunks.push(row.id);
      unit.chunks.sort((a, b) => a - b);
      unit.packedBytes += row.packedBytes;
      this.unitOf.set(row.id, number);
      touched.add(number);
    }
    for (const number of [...touched].sort((a, b) => a - b)) {
      const unit = this.units[number]!;
      unit.gain = unit.chunks.reduce((sum, chunk) => sum + this.table.row(chunk)!.gain, 0);
      this.link(number);
    }
    return touched;
  }

  private unitFor(row: ChunkRow): number {
    const joins = row.kind === ChunkKind.PROXY || this.table.isJoined(row.id);
    const kind = joins ? ChunkKind.LEAF : row.kind;
    const key = unitKey(kind, row.layer, row.tile);
    let number = this.numbers.get(key);
    if (number === undefined) {
      number = this.units.length;
      this.numbers.set(key, number);
      this.units.push({
        kind,
        layer: row.layer,
        tile: row.tile,
        chunks: [],
        gain: 0,
        packedBytes: 0,
        isLinked: false,
        needs: null,
        unlocks: new Set(),
      });
      if (kind === ChunkKind.BASIS) this.basis = number;
    }
    return number;
  }

  /** Links a new unit to the one that it needs, and to those that have waited for it. */
  private link(number: number): void {
    const unit = this.units[number]!;
    const key = unitKey(unit.kind, unit.layer, unit.tile);
    for (const orphan of this.orphans.get(key) ?? []) {
      this.units[orphan]!.needs = number;
      this.units[orphan]!.isLinked = true;
      unit.unlocks.add(orphan);
    }
    this.orphans.delete(key);
    if (unit.isLinked) return;
    const needed = this.neededBy(unit);
    const found = needed === null ? undefined : this.numbers.get(needed);
    if (needed === null) {
      unit.isLinked = true;
      this.roots.add(number);
    } else if (found !== undefined) {
      unit.isLinked = true;
      unit.needs = found;
      this.units[found]!.unlocks.add(number);
    } else {
      const waiting = this.orphans.get(needed) ?? new Set();
      this.orphans.set(needed, waiting.add(number));
    }
  }

  private neededBy(unit: Unit): number | null {
    if (unit.kind === ChunkKind.BASIS || unit.kind === ChunkKind.EXTRA) return null;
    if (unit.kind !== ChunkKind.LEAF) return unitKey(ChunkKind.LEAF, unit.layer, unit.tile);
    if (unit.layer === 0) return null;
    const { layers } = this.head.root.facts;
    const shift = layers[unit.layer]!.level - layers[unit.layer - 1]!.level;
    return unitKey(ChunkKind.LEAF, unit.layer - 1, unit.tile >>> shift);
  }

  private sortGroup(group: number): void {
    const pages = this.groups[group]!;
    if (pages.length === 1 || !pages.every((page) => this.table.hasPage(page.id))) return;
    const start = this.groupStarts[group]!;
    const count = pages.reduce((sum, page) => sum + page.chunkCount, 0);
    const ids = Array.from({ length: count }, (_, i) => start + i);
    ids.sort((a, b) => this.table.row(a)!.offset - this.table.row(b)!.offset);
    this.orders.set(group, ids);
  }
}

function unitKey(kind: number, layer: number, tile: number): number {
  return kind * 2 ** 24 + cellKey(layer, tile);
}

function lastIndexUpTo<T>(items: readonly T[], limit: number, start: (item: T) => number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (start(items[middle]!) <= limit) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function lastUpTo<T>(items: readonly T[], limit: number, start: (item: T) => number): T | undefined {
  return items[lastIndexUpTo(items, limit, start)];
}
