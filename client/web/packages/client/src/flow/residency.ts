// Which cells of a scene fit into a budget: those that come first in the scheduler's order for the
// view; the first layer is always kept. The limit for fetching a cell is lower than the limit for
// keeping it, so that a view that trembles fetches nothing twice.

import { ChunkKind } from '../constants.ts';
import { isGeometry } from '../format/rows.ts';
import { isPage } from './parts.ts';
import type { PartPlan } from './plan.ts';
import type { Scheduler } from './scheduler.ts';

const COMING_SHARE = 0.8; // of the budget, into which a cell must fit to be fetched
const GEOMETRY_BYTES = 14 * 4; // of a splat: mean, quaternion, scales, opacity, colour
const COEFFICIENT_BYTES = 3 * 4; // of a SH coefficient, in three colours

/** The most that may be held. */
export interface Budget {
  readonly splats: number;
  /** Bytes of the arrays that are handed out. */
  readonly bytes: number;
}

/** What to change, as chunk ids. */
export interface Revision {
  /** From memory. */
  readonly drop: readonly number[];
  /** Of what is to come. */
  readonly leaveOut: readonly number[];
  /** Of what was left out. */
  readonly takeIn: readonly number[];
  /** Of what was dropped. */
  readonly fetchAgain: readonly number[];
}

/** Nothing to change. */
export const NO_REVISION: Revision = { drop: [], leaveOut: [], takeIn: [], fetchAgain: [] };

/** Keeps a growing scene within a budget. */
export class Residency {
  private held = new Set<number>();
  private dropped = new Set<number>();
  private leftOut = new Set<number>();

  constructor(public budget: Budget) {}

  /** Whether something is missing because it does not fit into the budget. */
  get isFull(): boolean {
    return this.leftOut.size + this.dropped.size > 0;
  }

  /** Whether a chunk is left out or was dropped because of the budget. */
  isMissing(chunk: number): boolean {
    return this.leftOut.has(chunk) || this.dropped.has(chunk);
  }

  /** A chunk has arrived; false where there is no room for it any more. */
  arrived(chunk: number): boolean {
    if (this.leftOut.delete(chunk) || this.dropped.has(chunk)) {
      this.dropped.add(chunk);
      return false;
    }
    this.held.add(chunk);
    return true;
  }

  /** A new exchange knows of no cancels: the next revision lists all of them. */
  forgetLeftOut(): void {
    this.leftOut.clear();
  }

  /** Makes room for what the scheduler's view needs, as far as the chunk table is known. */
  revise(scheduler: Scheduler): Revision {
    const { plan } = scheduler;
    if (!this.isFull && fitsWhole(plan, this.budget)) return NO_REVISION;
    const coming = new Set<number>();
    const staying = new Set<number>();
    firstChunks(scheduler.fresh(), this.budget, coming, staying);
    const going = new Set<string>();
    for (const chunk of this.held) {
      const row = plan.table.row(chunk)!;
      if (isGeometry(row) && !staying.has(chunk)) going.add(`${row.layer}/${row.tile}`);
    }
    const drop: number[] = [];
    for (const chunk of this.held) {
      const row = plan.table.row(chunk)!;
      if (row.kind !== ChunkKind.BASIS && going.has(`${row.layer}/${row.tile}`)) drop.push(chunk);
    }
    const leaveOut: number[] = [];
    for (const [chunk, unit] of plan.unitOf) {
      if (plan.units[unit]!.kind === ChunkKind.EXTRA) continue; // never asked for
      const isMissing = !this.held.has(chunk) && !this.dropped.has(chunk);
      if (isMissing && !coming.has(chunk) && !this.leftOut.has(chunk)) leaveOut.push(chunk);
    }
    const takeIn = [...this.leftOut].filter((chunk) => coming.has(chunk));
    const fetchAgain = [...this.dropped].filter((chunk) => coming.has(chunk));
    for (const chunk of drop) {
      this.held.delete(chunk);
      this.dropped.add(chunk);
    }
    for (const chunk of fetchAgain) this.dropped.delete(chunk);
    for (const chunk of leaveOut) this.leftOut.add(chunk);
    for (const chunk of takeIn) this.leftOut.delete(chunk);
    return { drop, leaveOut, takeIn, fetchAgain };
  }
}

/** Whether all of a scene fits, proxies included. */
function fitsWhole(plan: PartPlan, budget: Budget): boolean {
  const { layers, shDegree } = plan.head.root.facts;
  const splats = layers.reduce((sum, layer) => sum + layer.leaves + layer.proxies, 0);
  const each = GEOMETRY_BYTES + COEFFICIENT_BYTES * ((shDegree + 1) ** 2 - 1);
  return splats <= COMING_SHARE * budget.splats && splats * each <= COMING_SHARE * budget.bytes;
}

/** Fills in the chunks that come first and fit, by whole units, and those of the first layer. */
function firstChunks(
  scheduler: Scheduler,
  budget: Budget,
  coming: Set<number>,
  staying: Set<number>,
): void {
  const { plan } = scheduler;
  let bytes = 0;
  let splats = 0;
  const take = (chunk: number): void => {
    const row = plan.table.row(chunk)!;
    if (row.kind === ChunkKind.BASIS) return;
    bytes += memoryBytes(plan, chunk);
    if (isGeometry(row)) splats += row.count;
  };
  for (const unit of plan.units) {
    if (unit.kind === ChunkKind.BASIS || (unit.layer === 0 && unit.kind === ChunkKind.LEAF)) {
      for (const chunk of unit.chunks) {
        take(chunk);
        coming.add(chunk);
        staying.add(chunk);
      }
    }
  }
  const begun = new Set<number>();
  for (let slice = scheduler.next(); slice; slice = scheduler.next()) {
    scheduler.record(slice);
    const number = isPage(slice.part) ? undefined : plan.unitOf.get(slice.part);
    if (number === undefined || begun.has(number)) continue;
    begun.add(number);
    const unit = plan.units[number]!;
    if (unit.chunks.every((chunk) => staying.has(chunk))) continue;
    unit.chunks.forEach(take);
    if (splats > budget.splats || bytes > budget.bytes) break;
    const fits = splats <= COMING_SHARE * budget.splats && bytes <= COMING_SHARE * budget.bytes;
    for (const chunk of unit.chunks) {
      staying.add(chunk);
      if (fits) coming.add(chunk);
    }
  }
}

function memoryBytes(plan: PartPlan, chunk: number): number {
  const row = plan.table.row(chunk)!;
  if (!isGeometry(row)) return 0;
  const { shDegree } = plan.head.root.facts;
  return row.count * (GEOMETRY_BYTES + COEFFICIENT_BYTES * ((shDegree + 1) ** 2 - 1));
}
