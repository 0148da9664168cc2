// Makes the sketch of a file from the chunks of its layer 0 (spec/protocol.md, section 10.1).

import { FormatError } from '../errors.ts';
import type { FileHead } from '../format/head.ts';
import { unpackChecked } from '../format/frame.ts';
import { childCount, isGeometry, type ChunkRow } from '../format/rows.ts';
import { decodeShapes, readGeometry, type Shapes } from '../payload/geometry.ts';
import type { SceneFacts } from '../update.ts';
import type { Sketch } from './sketch.ts';

const MOST_POINTS = 4096; // there is no sketch of a larger layer 0
const RADIUS = 1.5; // of the geometric mean of the two longest scales

/** The chunks of layer 0, collected until all of them are here. */
export class LayerZero {
  private readonly facts: SceneFacts;
  private readonly rows: readonly ChunkRow[];
  private readonly packed = new Map<number, Uint8Array>();
  private readonly wanted: Set<number>;

  constructor(head: FileHead, rootRows: Iterable<ChunkRow>) {
    this.facts = head.root.facts;
    const rows = [...rootRows].filter((row) => row.layer === 0 && isGeometry(row));
    const count = rows.reduce((sum, row) => sum + row.count, 0);
    const { leaves, proxies } = this.facts.layers[0]!;
    const isWhole = count === leaves + proxies && count > 0 && count <= MOST_POINTS;
    this.rows = isWhole ? rows.sort((a, b) => a.id - b.id) : [];
    this.wanted = new Set(this.rows.map((row) => row.id));
  }

  /** Adds a chunk; the sketch if it was the last one of layer 0, and none is damaged. */
  add(row: ChunkRow, bytes: Uint8Array): Sketch | null {
    if (!this.wanted.delete(row.id)) return null;
    this.packed.set(row.id, bytes);
    if (this.wanted.size > 0) return null;
    try {
      return this.sketch();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error; // the builder reports it
      return null;
    } finally {
      this.packed.clear();
    }
  }

  private sketch(): Sketch {
    const children = childCount(this.facts.layers, 0);
    const means: number[] = [];
    const radii: number[] = [];
    const opacities: number[] = [];
    for (const row of this.rows) {
      const payload = unpackChecked(row, this.packed.get(row.id)!);
      const shapes: Shapes = decodeShapes(readGeometry(payload, row, children, this.facts.shDegree));
      for (let i = 0; i < row.count; i++) {
        const [, middle, longest] = shapes.scales.slice(3 * i, 3 * i + 3).sort();
        means.push(...shapes.means.subarray(3 * i, 3 * i + 3));
        radii.push(RADIUS * Math.sqrt(longest! * middle!));
        opacities.push(shapes.opacities[i]!);
      }
    }
    return { means, radii, opacities };
  }
}
