// What comes first in a view: ranks of units and of pages that are not known (spec/protocol.md,
// section 10.1). The least comes first.

import { ChunkKind } from '../constants.ts';
import { cellKey, type PageRow } from '../format/rows.ts';
import type { View } from '../update.ts';
import type { Ranked } from './heap.ts';
import type { PartPlan, Unit } from './plan.ts';
import { boxWeight, eyeOf, type BoxWeight, type Eye } from './visibility.ts';

const SMALLEST_GAIN = 1e-12; // what has no gain comes last, but comes
const LEAST_SCORE = 1e-300;
const PAGE_PROSPECT = 4; // how much better than its mean the best of an unknown page may be

/** Ranks in one view. */
export class Ranks {
  private readonly eye: Eye;
  private readonly weights = new Map<number, BoxWeight>(); // of cells whose box is known

  constructor(
    private readonly plan: PartPlan,
    view: View,
  ) {
    this.eye = eyeOf(view);
  }

  /** The rank of a unit of which so much has gone. */
  unit(number: number, sentBytes: number): Ranked {
    const unit = this.plan.units[number]!;
    const density = densityOf(unit.gain, unit.packedBytes - sentBytes);
    const tie = unit.chunks[0]!;
    // SH calls for the BASIS; on its own it shows nothing.
    if (unit.kind === ChunkKind.BASIS) return { score: scoreOf(density, 0, 1), tie, item: number };
    const { coverage, around } = this.weigh(unit);
    const share = this.shareOf(this.plan.head.root.facts.layers[unit.layer]!.level);
    return { score: scoreOf(density, coverage * share, around * share), tie, item: number };
  }

  /** The rank of a page that is not known. */
  page(page: PageRow): Ranked {
    const { coverage, around } = boxWeight(page.box, this.eye);
    const prospect = PAGE_PROSPECT * this.shareOf(page.level);
    const density = densityOf(page.gain, page.chunkBytes);
    const score = scoreOf(density, coverage * prospect, around * prospect);
    return { score, tie: page.firstChunk, item: page.id };
  }

  /** Whether the view shows anything of a unit. */
  shows(unit: Unit): boolean {
    return unit.kind === ChunkKind.BASIS || this.weigh(unit).coverage > 0;
  }

  /** Whether it shows anything of a page's region. */
  showsPage(page: PageRow): boolean {
    return boxWeight(page.box, this.eye).coverage > 0;
  }

  private weigh(unit: Unit): BoxWeight {
    const key = cellKey(unit.layer, unit.tile);
    const known = this.weights.get(key);
    if (known) return known;
    const weight = boxWeight(this.plan.box(unit), this.eye);
    if (this.plan.table.box(unit.layer, unit.tile)) this.weights.set(key, weight);
    return weight;
  }

  /** The share of a tile's coverage that counts: its finest tiles lie behind and beside each other. */
  private shareOf(level: number): number {
    const { layers } = this.plan.head.root.facts;
    return 2 ** -Math.floor((2 * (layers[layers.length - 1]!.level - level)) / 3);
  }
}

function densityOf(gain: number, missingBytes: number): number {
  return Math.max(gain, SMALLEST_GAIN) / Math.max(missingBytes, 1);
}

function scoreOf(density: number, coverage: number, around: number): number {
  return coverage > 0 ? -density * coverage : 1 / Math.max(density * around, LEAST_SCORE);
}
