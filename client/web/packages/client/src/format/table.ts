// The chunk table as far as it is known: rows by chunk, by cell, boxes of cells, missing pages.

import { ChunkKind } from '../constants.ts';
import type { Box } from '../update.ts';
import type { RootIndex } from './root.ts';
import { cellKey, covers, isGeometry, type ChunkRow, type ChunkRows, type PageRow } from './rows.ts';
import { TableRules } from './rules.ts';

const NO_ROWS: readonly ChunkRow[] = [];

/** The rows that are known; raises DamagedError or LimitError where they do not fit together. */
export class ChunkTable {
  private readonly byId = new Map<number, ChunkRow>();
  private readonly byCell = new Map<number, ChunkRow[]>();
  private readonly boxes = new Map<number, Box>();
  private readonly joined = new Set<number>();
  private readonly missing: Map<number, PageRow>;
  private readonly rules: TableRules;

  constructor(readonly root: RootIndex) {
    this.missing = new Map(root.pages.map((page) => [page.id, page]));
    this.rules = new TableRules(root.facts.layers, root.pages, root.first.rows);
    this.enter(root.first);
  }

  /** Enters a page; a second call is harmless. Nothing is entered if it raises. */
  addPage(page: PageRow, table: ChunkRows): void {
    if (!this.missing.has(page.id)) return;
    this.rules.enter(page, table.rows);
    this.missing.delete(page.id);
    this.enter(table);
  }

  /** Rows that are known. */
  get size(): number {
    return this.byId.size;
  }

  get isComplete(): boolean {
    return this.missing.size === 0;
  }

  /** Pages that are not here, in file order. */
  get missingPages(): Iterable<PageRow> {
    return this.missing.values();
  }

  hasPage(id: number): boolean {
    return id === 0 || (id <= this.root.pages.length && !this.missing.has(id));
  }

  row(id: number): ChunkRow | undefined {
    return this.byId.get(id);
  }

  rows(): Iterable<ChunkRow> {
    return this.byId.values();
  }

  /** Rows of a cell that are known, without EXTRA. */
  cell(layer: number, tile: number): readonly ChunkRow[] {
    return this.byCell.get(cellKey(layer, tile)) ?? NO_ROWS;
  }

  /** The box of a cell whose LEAF or PROXY is known. */
  box(layer: number, tile: number): Box | undefined {
    return this.boxes.get(cellKey(layer, tile));
  }

  /** Whether an SH belongs to what its cell is first drawn with. */
  isJoined(id: number): boolean {
    return this.joined.has(id);
  }

  /** Whether a page that is not here may list more chunks of this cell. */
  mayGrow(layer: number, tile: number): boolean {
    const region = { level: this.root.facts.layers[layer]!.level, tile };
    for (const page of this.missing.values()) {
      if (covers(page, region)) return true;
    }
    return false;
  }

  private enter(table: ChunkRows): void {
    let before: ChunkRow | null = null;
    for (const row of table.rows) {
      this.byId.set(row.id, row);
      if (row.kind === ChunkKind.EXTRA || row.kind === ChunkKind.BASIS) continue;
      const key = cellKey(row.layer, row.tile);
      const cell = this.byCell.get(key);
      if (cell) cell.push(row);
      else this.byCell.set(key, [row]);
      const isAfter = before && isGeometry(before) && before.layer === row.layer && before.tile === row.tile;
      if (row.kind === ChunkKind.SH && isAfter) this.joined.add(row.id);
      before = row;
    }
    for (const [cell, box] of table.boxes) if (!this.boxes.has(cell)) this.boxes.set(cell, box);
  }
}
