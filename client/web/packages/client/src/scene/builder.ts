// The growing scene: chunks in, in any order, updates out (spec/format.md, section 8).
// A part is handed out when its cell becomes active, so nothing is drawn before its time.

import { ChunkKind } from '../constants.ts';
import { FormatError } from '../errors.ts';
import { checkHashSync, unpackChecked } from '../format/frame.ts';
import { cellKey, childCount, isGeometry, type ChunkRow } from '../format/rows.ts';
import type { ChunkTable } from '../format/table.ts';
import { readBasis, type Basis } from '../payload/sh.ts';
import type { GroupState, PartAdded, PartRefined, SceneFacts, SceneUpdate } from '../update.ts';
import { Activity } from './activity.ts';
import { Splats, type Packed } from './leaves.ts';

/** A chunk that failed a check: it counts as not received, and may arrive again. */
export interface ChunkFault {
  readonly row: ChunkRow;
  readonly error: FormatError;
}

/** What one update holds, less the progress of the transfer. */
export type SceneChange = Omit<SceneUpdate, 'progress'>;

interface Part {
  readonly key: number;
  readonly splats: Splats;
  readonly isLeaf: boolean;
  isOut: boolean; // handed out
  /** Last state of each child: its amplification, 0 while hidden. */
  readonly states: Float32Array;
}

interface Cell {
  readonly layer: number;
  readonly tile: number;
  leaf: Part | null;
  proxy: Part | null;
  readonly applied: Set<number>; // SH and FINE
  readonly waiting: Map<number, Packed>; // SH and FINE that came before LEAF or BASIS
}

/** Decodes chunks and determines what to draw. */
export class SceneBuilder {
  /** Splats that are drawn. */
  splats = 0;

  private readonly facts: SceneFacts;
  private readonly cells = new Map<number, Cell>();
  private readonly received = new Set<number>();
  private readonly activity: Activity;
  private basis: Basis | null = null;
  private nextKey = 1;
  private readonly touched = new Set<number>(); // cells whose groups may have changed
  private readonly refined = new Set<number>(); // cells whose leaves may have changed
  private readonly dropped: number[] = [];

  constructor(private readonly table: ChunkTable) {
    this.facts = table.root.facts;
    this.activity = new Activity(this.facts.layers, (layer, tile) => {
      this.touched.add(cellKey(layer, tile));
    });
  }

  /** Highest layer of which every cell is drawn, -1 before the first. */
  get layer(): number {
    return this.activity.layer;
  }

  has(chunk: number): boolean {
    return this.received.has(chunk);
  }

  /**
   * Decodes and enters a chunk whose hash has been checked; a second call is harmless. Returns what
   * failed: this chunk, or others that waited for it.
   */
  add(row: ChunkRow, bytes: Uint8Array): ChunkFault[] {
    if (this.received.has(row.id)) return [];
    const faults: ChunkFault[] = [];
    const packed = { row, bytes };
    this.received.add(row.id);
    if (row.kind === ChunkKind.EXTRA) return [];
    if (row.kind === ChunkKind.BASIS) {
      this.attempt(packed, faults, () => {
        this.basis = readBasis(unpackChecked(row, bytes), this.facts.shDegree, row.section);
      });
      for (const cell of this.cells.values()) this.settle(cell, faults);
      return faults;
    }
    const cell = this.cell(row.layer, row.tile);
    if (isGeometry(row)) {
      this.attempt(packed, faults, () => {
        const part = this.decode(packed);
        if (part.isLeaf) cell.leaf = part;
        else cell.proxy = part;
      });
    } else cell.waiting.set(row.id, packed);
    this.settle(cell, faults);
    return faults;
  }

  /** The same for a chunk whose hash has not been checked yet. */
  addUnchecked(row: ChunkRow, bytes: Uint8Array): ChunkFault[] {
    try {
      checkHashSync(row, bytes);
    } catch (error) {
      if (error instanceof FormatError) return [{ row, error }];
      throw error;
    }
    return this.add(row, bytes);
  }

  /** Forgets all chunks of these cells; the finer cells that they cover are hidden until they arrive again. */
  drop(cells: Iterable<{ readonly layer: number; readonly tile: number }>): void {
    for (const { layer, tile } of cells) {
      const key = cellKey(layer, tile);
      const cell = this.cells.get(key);
      if (!cell) continue;
      this.activity.setWhole(layer, tile, false);
      for (const part of [cell.leaf, cell.proxy]) {
        if (!part?.isOut) continue;
        this.dropped.push(part.key);
        this.splats -= shown(part);
      }
      this.cells.delete(key);
      this.refined.delete(key);
      for (const row of this.table.cell(layer, tile)) this.received.delete(row.id);
    }
  }

  /** What has changed since the last call, null where nothing has. */
  take(): SceneChange | null {
    const added: PartAdded[] = [];
    const refined: PartRefined[] = [];
    const groups: GroupState[] = [];
    const cells = [...this.touched].map((key) => this.cells.get(key)).filter((cell) => !!cell);
    cells.sort((a, b) => a.layer - b.layer || a.tile - b.tile);
    for (const cell of cells) {
      for (const part of [cell.leaf, cell.proxy]) {
        if (!part || part.splats.count === 0) continue;
        if (!part.isOut && this.activity.isActive(cell.layer, cell.tile)) {
          added.push(this.handOut(cell, part));
          if (part.isLeaf) this.refined.delete(cellKey(cell.layer, cell.tile));
        }
        if (part.isOut) this.updateGroups(cell, part, groups);
      }
    }
    for (const key of this.refined) {
      const cell = this.cells.get(key);
      if (!cell?.leaf?.isOut) continue;
      const data = cell.leaf.splats.takeChanged();
      if (Object.keys(data).length > 0) refined.push({ key: cell.leaf.key, data });
      if (this.isFinal(cell)) cell.leaf.splats.settle();
    }
    const dropped = this.dropped.splice(0);
    this.touched.clear();
    this.refined.clear();
    const isEmpty = !added.length && !refined.length && !groups.length && !dropped.length;
    return isEmpty ? null : { added, refined, dropped, groups };
  }

  private cell(layer: number, tile: number): Cell {
    const key = cellKey(layer, tile);
    let cell = this.cells.get(key);
    if (!cell) {
      cell = { layer, tile, leaf: null, proxy: null, applied: new Set(), waiting: new Map() };
      this.cells.set(key, cell);
    }
    return cell;
  }

  private decode(packed: Packed): Part {
    const children = childCount(this.facts.layers, packed.row.layer);
    const splats = new Splats(packed, children, this.facts.shDegree);
    const isLeaf = packed.row.kind === ChunkKind.LEAF;
    const states = new Float32Array(children);
    return { key: this.nextKey++, splats, isLeaf, isOut: false, states };
  }

  /** Applies what can be applied by now, and activates the cell if it is whole. */
  private settle(cell: Cell, faults: ChunkFault[]): void {
    const splats = cell.leaf?.splats;
    if (splats) {
      for (const packed of [...cell.waiting.values()]) {
        const { id, kind } = packed.row;
        const { basis } = this;
        if (kind === ChunkKind.SH && !basis) continue;
        cell.waiting.delete(id);
        this.attempt(packed, faults, () => {
          if (kind === ChunkKind.FINE) splats.addFine(packed);
          else if (basis) splats.addSh(packed, basis);
          cell.applied.add(id);
          this.refined.add(cellKey(cell.layer, cell.tile));
        });
      }
    }
    this.activity.setWhole(cell.layer, cell.tile, this.isWhole(cell));
  }

  private isWhole(cell: Cell): boolean {
    const rows = this.table.cell(cell.layer, cell.tile);
    if (!cell.leaf && !cell.proxy) return false;
    return rows.every((row) => {
      if (row.kind === ChunkKind.LEAF) return cell.leaf !== null;
      if (row.kind === ChunkKind.PROXY) return cell.proxy !== null;
      return !this.table.isJoined(row.id) || cell.applied.has(row.id);
    });
  }

  private attempt(packed: Packed, faults: ChunkFault[], act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.received.delete(packed.row.id);
      faults.push({ row: packed.row, error });
    }
  }

  private handOut(cell: Cell, part: Part): PartAdded {
    part.isOut = true;
    const { splats } = part;
    const added: PartAdded = {
      key: part.key,
      kind: part.isLeaf ? 'leaf' : 'proxy',
      layer: cell.layer,
      tile: cell.tile,
      count: splats.count,
      children: splats.childCounts.slice(),
      data: splats.takeAll(),
    };
    if (!part.isLeaf || this.isFinal(cell)) splats.settle();
    return added;
  }

  private updateGroups(cell: Cell, part: Part, groups: GroupState[]): void {
    const { layer, tile } = cell;
    const isActive = this.activity.isActive(layer, tile);
    this.splats -= shown(part);
    for (let child = 0; child < part.states.length; child++) {
      if (part.splats.childCounts[child] === 0) continue;
      let state = 0;
      if (isActive && part.isLeaf) {
        state = this.facts.layers[this.activity.topLayer(layer, tile, child)]!.amplification;
      } else if (isActive && !this.activity.isChildActive(layer, tile, child)) state = 1;
      if (state === part.states[child]) continue;
      part.states[child] = state;
      groups.push({ key: part.key, child, visible: state > 0, amplification: state || 1 });
    }
    this.splats += shown(part);
  }

  /** Whether nothing will refine the leaves of a cell any more. */
  private isFinal(cell: Cell): boolean {
    const rows = this.table.cell(cell.layer, cell.tile);
    return (
      rows.every((row) => isGeometry(row) || cell.applied.has(row.id)) &&
      !this.table.mayGrow(cell.layer, cell.tile)
    );
  }
}

function shown(part: Part): number {
  let splats = 0;
  part.states.forEach((state, child) => {
    if (state > 0) splats += part.splats.childCounts[child]!;
  });
  return splats;
}
