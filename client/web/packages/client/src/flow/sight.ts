// The weights of cells in one view: coverage of their boxes, corrected by a sketch if there is one
// (spec/protocol.md, section 10.1).

import type { FileHead } from '../format/head.ts';
import type { ChunkTable } from '../format/table.ts';
import type { Box } from '../update.ts';
import { ownersOf, sharesOf, type Sketch } from './sketch.ts';
import { boxWeight, type Eye } from './visibility.ts';

const FINEST_LEVEL = 6; // of screen tiles: those of the finest layer up to it
const LEAST = 0.02; // of the coverage of a box: what the sketch hides may show nevertheless

/** The screen tiles of a file, and who owns the points of its sketch. */
export class Screen {
  sketch: Sketch | null = null;
  readonly level: number;
  private readonly layer: number;
  private owners: { readonly known: number; readonly sketch: Sketch; readonly of: Uint8Array } | null = null;

  constructor(
    private readonly head: FileHead,
    private readonly table: ChunkTable,
  ) {
    const levels = head.root.facts.layers.map(({ level }) => level);
    const coarse = levels.filter((level) => level <= FINEST_LEVEL);
    this.level = coarse.length > 0 ? Math.max(...coarse) : levels[0]!;
    this.layer = levels.indexOf(this.level);
  }

  /** The share of a tile's coverage that counts: its finest tiles are behind and beside each other. */
  share(level: number): number {
    const { layers } = this.head.root.facts;
    return 2 ** -Math.floor((2 * (layers[layers.length - 1]!.level - level)) / 3);
  }

  /** What a view shows, as far as tiles are known. */
  sight(eye: Eye): Sight {
    const tiles: number[] = [];
    const boxes: Box[] = [];
    for (let tile = 0; tile < 2 ** this.level; tile++) {
      const box = this.table.box(this.layer, tile);
      if (!box) continue;
      tiles.push(tile);
      boxes.push(box);
    }
    const { sketch } = this;
    if (!sketch || tiles.length === 0) return new Sight(this, null, null);
    if (this.owners?.known !== tiles.length || this.owners.sketch !== sketch) {
      this.owners = { known: tiles.length, sketch, of: ownersOf(sketch, boxes) };
    }
    const shares = sharesOf(sketch, this.owners.of, tiles.length, eye);
    const factors = new Map<number, number>();
    const weights = new Map<number, number>();
    tiles.forEach((tile, i) => {
      const { coverage } = boxWeight(boxes[i]!, eye);
      const factor = coverage > 0 ? Math.min(Math.max(shares[i]! / coverage, LEAST), 1) : LEAST;
      factors.set(tile, factor);
      weights.set(tile, factor * coverage);
    });
    return new Sight(this, factors, weights);
  }
}

/** The weights of tiles in a view, as far as they are known. */
export class Sight {
  constructor(
    private readonly screen: Screen,
    private readonly factors: ReadonlyMap<number, number> | null, // of known screen tiles
    private readonly weights: ReadonlyMap<number, number> | null,
  ) {}

  /** The weight of a tile whose box has this coverage; 0 only out of view. */
  weight(level: number, tile: number, coverage: number): number {
    const { screen, factors, weights } = this;
    const plain = coverage * screen.share(level);
    if (!factors || !weights || coverage <= 0) return plain;
    const above = level - screen.level;
    if (above >= 0) return plain * (factors.get(tile >>> above) ?? 1);
    const [sum, count] = this.inPairs(weights, level, tile);
    if (count === 0) return plain;
    return Math.max(plain * LEAST, (sum / count) * screen.share(screen.level));
  }

  private inPairs(weights: ReadonlyMap<number, number>, level: number, tile: number): [number, number] {
    if (level === this.screen.level) {
      const weight = weights.get(tile);
      return weight === undefined ? [0, 0] : [weight, 1];
    }
    const one = this.inPairs(weights, level + 1, 2 * tile);
    const other = this.inPairs(weights, level + 1, 2 * tile + 1);
    return [one[0] + other[0], one[1] + other[1]];
  }
}
