// What comes first in a view: ranks of units and of pages that are not known (spec/protocol.md,
// section 10.1). The least comes first.

import { ChunkKind } from '../constants.ts';
import { cellKey, type PageRow } from '../format/rows.ts';
import type { View } from '../update.ts';
import type { Ranked } from './heap.ts';
import type { PartPlan, Unit } from './plan.ts';
import type { Sight } from './sight.ts';
import { boxWeight, eyeOf, type BoxWeight, type Eye } from './visibility.ts';

const SMALLEST_GAIN = 1e-12; // chunks without gain come last, but are sent
const LEAST_SCORE = 1e-300;
const PAGE_PROSPECT = 4; // how much better than its mean the best of an unknown page may be

/** Ranks in one view. */
export class Ranks {
  private readonly eye: Eye;
  private readonly weights = new Map<number, BoxWeight>(); // of cells whose box is known
  private seen: Sight | null = null;

  constructor(
    private readonly plan: PartPlan,
    view: View,
  ) {
    this.eye = eyeOf(view);
  }

  /** The rank of a unit of which this many bytes have been sent. */
  unit(number: number, sentBytes: number): Ranked {
    const unit = this.plan.units[number]!;
    const density = densityOf(unit.gain, unit.packedBytes - sentBytes);
    const tie = unit.chunks[0]!;
    // SH calls for the BASIS; on its own it shows nothing.
    if (unit.kind === ChunkKind.BASIS) return { score: scoreOf(density, 0, 1), tie, item: number };
    const { coverage, around } = this.weigh(unit);
    const { level } = this.plan.head.root.facts.layers[unit.layer]!;
    const weight = this.sight.weight(level, unit.tile, coverage);
    const score = scoreOf(density, weight, around * this.plan.screen.share(level));
    return { score, tie, item: number };
  }

  /** The rank of a page that is not known. */
  page(page: PageRow): Ranked {
    const { coverage, around } = boxWeight(page.box, this.eye);
    const weight = this.sight.weight(page.level, page.tile, coverage) * PAGE_PROSPECT;
    const share = this.plan.screen.share(page.level) * PAGE_PROSPECT;
    const score = scoreOf(densityOf(page.gain, page.chunkBytes), weight, around * share);
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

  /** More is known: the view is looked at again. */
  renew(): void {
    this.seen = null;
  }

  private get sight(): Sight {
    return (this.seen ??= this.plan.screen.sight(this.eye));
  }
}

function densityOf(gain: number, missingBytes: number): number {
  return Math.max(gain, SMALLEST_GAIN) / Math.max(missingBytes, 1);
}

function scoreOf(density: number, coverage: number, around: number): number {
  return coverage > 0 ? -density * coverage : 1 / Math.max(density * around, LEAST_SCORE);
}
