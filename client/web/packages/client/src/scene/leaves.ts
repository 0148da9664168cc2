// The leaves of one cell: decoded as their chunks arrive, handed out once, then decoded again from the
// packed chunks where a late FINE or SH refines them. So the arrays to draw are held in one place only.

import { unpackChecked } from '../format/frame.ts';
import type { ChunkRow } from '../format/rows.ts';
import { refineShapes } from '../payload/fine.ts';
import { decodeColors, decodeShapes, readGeometry, type Shapes } from '../payload/geometry.ts';
import { addSh, zeroVectors, type Basis, type ShVectors } from '../payload/sh.ts';
import type { SplatData } from '../update.ts';

/** A chunk as it came, whose hash has been checked. */
export interface Packed {
  readonly row: ChunkRow;
  readonly bytes: Uint8Array;
}

/** The leaves of a cell, or its proxies, which are never refined. */
export class Splats {
  readonly childCounts: Uint32Array;
  private shapes: Shapes | null;
  private colors: Float32Array | null;
  private sums: ShVectors | null = null;
  private fine: Packed | null = null;
  private readonly sh: Packed[] = [];

  /** Decodes a LEAF or a PROXY; raises DamagedError, UnsupportedError. */
  constructor(
    private base: Packed,
    private readonly children: number,
    private readonly shDegree: number,
  ) {
    const geometry = this.geometry();
    this.childCounts = geometry.childCounts;
    if (geometry.sh) {
      const { basis, payload } = geometry.sh;
      this.sums = zeroVectors(this.count, basis);
      addSh(payload, basis, this.count, this.sums, base.row.section);
    }
    this.shapes = decodeShapes(geometry);
    this.colors = decodeColors(geometry);
  }

  get count(): number {
    return this.base.row.count;
  }

  /** Takes a FINE; raises DamagedError, UnsupportedError. */
  addFine(packed: Packed): void {
    const payload = unpackChecked(packed.row, packed.bytes);
    this.shapes = refineShapes(payload, this.shapes ?? decodeShapes(this.geometry()), packed.row.section);
    this.fine = packed;
  }

  /** Takes an SH; raises DamagedError. */
  addSh(packed: Packed, basis: Basis): void {
    const payload = unpackChecked(packed.row, packed.bytes);
    const sums = this.sums ?? this.sumOf(this.sh, basis);
    // A payload is checked whole before it is added, so that a damaged one leaves no trace.
    addSh(payload, basis, this.count, sums, packed.row.section);
    this.sums = sums;
    this.sh.push(packed);
  }

  /** All arrays, as they are now; they belong to the caller. */
  takeAll(): SplatData {
    const shapes = this.shapes ?? this.makeShapes();
    this.shapes = null;
    return { ...shapes, ...this.takeColors() };
  }

  /** The arrays that have changed since they were last taken. */
  takeChanged(): Partial<SplatData> {
    const changed = { ...this.shapes, ...(this.sums ? this.takeColors() : {}) };
    this.shapes = null;
    return changed;
  }

  /** Nothing refines these any more: frees the packed chunks. */
  settle(): void {
    this.base = { row: this.base.row, bytes: new Uint8Array(0) };
    this.sh.length = 0;
    this.fine = null;
  }

  private takeColors(): { sh0: Float32Array; shN: Float32Array | null } {
    const sh0 = this.colors ?? decodeColors(this.geometry());
    this.colors = null;
    const { sums } = this;
    this.sums = null;
    if (!sums) return { sh0, shN: null };
    const { dc, rest } = sums;
    for (let i = 0; i < dc.length; i++) sh0[i]! += dc[i]!;
    return { sh0, shN: rest.length > 0 ? rest : null };
  }

  private sumOf(chunks: readonly Packed[], basis: Basis): ShVectors {
    const sums = zeroVectors(this.count, basis);
    for (const { row, bytes } of chunks) {
      addSh(unpackChecked(row, bytes), basis, this.count, sums, row.section);
    }
    return sums;
  }

  private makeShapes(): Shapes {
    const coarse = decodeShapes(this.geometry());
    const { fine } = this;
    return fine ? refineShapes(unpackChecked(fine.row, fine.bytes), coarse, fine.row.section) : coarse;
  }

  private geometry() {
    const { row, bytes } = this.base;
    return readGeometry(unpackChecked(row, bytes), row, this.children, this.shDegree);
  }
}
