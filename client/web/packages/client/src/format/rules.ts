// The rules that the rows of the chunk table obey together (spec/format.md, section 6). A row is
// checked once all earlier pages are known whose regions cover its cell: only those can list rows of
// the same cell or of its parent.

import { ChunkKind, MAX_FREE_COUNT, MAX_SH_CHUNKS } from '../constants.ts';
import { DamagedError, LimitError } from '../errors.ts';
import type { LayerFacts } from '../update.ts';
import { cellKey, isGeometry, type ChunkRow, type PageRow } from './rows.ts';

/** Checks the tables of a file, which come in any order; the root index is page 0. */
export class TableRules {
  private readonly cells = new Map<number, ChunkRow[]>();
  private readonly bases: ChunkRow[] = [];
  private readonly here = new Map<number, readonly ChunkRow[]>();
  private readonly missing = new Map<number, number[]>(); // region to its missing pages, rising
  private readonly held = new Map<number, ChunkRow[]>(); // missing page to the rows that wait for it
  private firstMissing = 1;
  private readonly leaves: number[];
  private readonly proxies: number[];
  private free = 0;

  constructor(
    private readonly layers: readonly LayerFacts[],
    private readonly pages: readonly PageRow[],
    rootRows: readonly ChunkRow[],
  ) {
    this.leaves = layers.map(() => 0);
    this.proxies = layers.map(() => 0);
    for (const page of pages) {
      const key = regionKey(page.level, page.tile);
      const others = this.missing.get(key);
      if (others) others.push(page.id);
      else this.missing.set(key, [page.id]);
    }
    this.enterRows(0, rootRows);
    for (const row of rootRows) this.check(row);
    if (pages.length === 0) this.checkWhole();
  }

  /** The rows of one more page; raises DamagedError, LimitError. */
  enter(page: PageRow, rows: readonly ChunkRow[]): void {
    this.enterRows(page.id, rows);
    this.checkGroup(page.group);
    const key = regionKey(page.level, page.tile);
    this.missing.set(key, this.missing.get(key)!.filter((id) => id !== page.id));
    while (this.here.has(this.firstMissing)) this.firstMissing += 1;
    const waited = this.held.get(page.id) ?? [];
    this.held.delete(page.id);
    for (const row of [...rows, ...waited].sort((a, b) => a.id - b.id)) this.checkOrHold(row);
    if (this.here.size === this.pages.length + 1) this.checkWhole();
  }

  /** Enters rows and checks what their order does not matter for. */
  private enterRows(page: number, rows: readonly ChunkRow[]): void {
    this.here.set(page, rows);
    for (const row of rows) {
      if (row.kind === ChunkKind.EXTRA) continue;
      if (row.kind === ChunkKind.BASIS) {
        this.bases.push(row);
        continue;
      }
      const key = cellKey(row.layer, row.tile);
      const cell = this.cells.get(key);
      if (cell) cell.push(row);
      else this.cells.set(key, [row]);
      if (isGeometry(row)) this.count(row);
    }
  }

  private count(row: ChunkRow): void {
    const layer = this.layers[row.layer]!;
    const isLeaf = row.kind === ChunkKind.LEAF;
    const counts = isLeaf ? this.leaves : this.proxies;
    counts[row.layer]! += row.count;
    if (counts[row.layer]! > (isLeaf ? layer.leaves : layer.proxies)) {
      throw fault(row, `layer ${row.layer} has more Gaussians of this kind than the index says`);
    }
    this.free += Math.max(row.count - row.packedBytes, 0);
    if (this.free > MAX_FREE_COUNT) {
      throw new LimitError(
        `${row.count} Gaussians in ${row.packedBytes} bytes: the file has more than` +
          ` ${MAX_FREE_COUNT} beyond one for each byte`,
        row.section,
      );
    }
  }

  private checkOrHold(row: ChunkRow): void {
    const page = this.awaitedPage(row);
    if (page === null) {
      this.check(row);
      return;
    }
    const held = this.held.get(page);
    if (held) held.push(row);
    else this.held.set(page, [row]);
  }

  /** A missing page before the row's own whose region covers the row's cell. */
  private awaitedPage(row: ChunkRow): number | null {
    if (row.page <= this.firstMissing) return null;
    const level = row.kind === ChunkKind.BASIS ? 0 : this.layers[row.layer]!.level;
    for (let coarser = 0; coarser <= level; coarser++) {
      const first = this.missing.get(regionKey(coarser, row.tile >>> (level - coarser)))?.[0];
      if (first !== undefined && first < row.page) return first;
    }
    return null;
  }

  private check(row: ChunkRow): void {
    if (row.kind === ChunkKind.EXTRA) return;
    if (row.kind === ChunkKind.BASIS) {
      if (this.bases.some((other) => isEarlier(other, row))) {
        throw fault(row, 'the file has a BASIS already');
      }
      return;
    }
    const cell = (this.cells.get(cellKey(row.layer, row.tile)) ?? []).filter((other) =>
      isEarlier(other, row),
    );
    if (row.kind !== ChunkKind.SH && cell.some((other) => other.kind === row.kind)) {
      throw fault(row, 'the cell has a chunk of this kind already');
    }
    if (isGeometry(row)) this.checkGeometry(row, cell);
    else this.checkRefinement(row, cell);
  }

  private checkGeometry(row: ChunkRow, cell: readonly ChunkRow[]): void {
    const other = cell.find(isGeometry);
    if (other) {
      if (other.page !== row.page || other.id + 1 !== row.id) {
        throw fault(row, 'LEAF and PROXY of a cell do not stand side by side');
      }
    } else if (row.layer > 0) {
      const step = this.layers[row.layer]!.level - this.layers[row.layer - 1]!.level;
      const parent = this.cells.get(cellKey(row.layer - 1, row.tile >>> step)) ?? [];
      if (!parent.some((below) => isGeometry(below) && isInFront(below, row))) {
        throw fault(row, 'nothing of the parent lies in front');
      }
    }
  }

  private checkRefinement(row: ChunkRow, cell: readonly ChunkRow[]): void {
    const leaf = cell.find((other) => other.kind === ChunkKind.LEAF);
    if (!leaf || !isInFront(leaf, row)) throw fault(row, 'no leaves to refine lie in front');
    if (leaf.count !== row.count) throw fault(row, `${row.count} rows for ${leaf.count} leaves`);
    if (row.kind !== ChunkKind.SH) return;
    if (!this.bases.some((basis) => isInFront(basis, row))) {
      throw fault(row, 'the BASIS does not lie in front');
    }
    if (cell.filter((other) => other.kind === ChunkKind.SH).length >= MAX_SH_CHUNKS) {
      throw new LimitError(`the cell has more than ${MAX_SH_CHUNKS} SH chunks`, row.section);
    }
  }

  /** Whether the chunks of a group fill its area, once all its pages are here. */
  private checkGroup(group: number): void {
    const pages = this.pages.filter((page) => page.group === group);
    if (!pages.every((page) => this.here.has(page.id))) return;
    const rows = pages.flatMap((page) => this.here.get(page.id) ?? []);
    rows.sort((a, b) => a.offset - b.offset);
    let position = pages[0]!.areaStart;
    for (const row of rows) {
      if (row.offset !== position) throw fault(row, 'the chunks of its group do not fill their area');
      position += row.packedBytes;
    }
  }

  /** What only the whole table shows. */
  private checkWhole(): void {
    this.layers.forEach((layer, number) => {
      if (this.leaves[number] !== layer.leaves || this.proxies[number] !== layer.proxies) {
        throw new DamagedError(
          `layer ${number} has ${this.leaves[number]} leaves and ${this.proxies[number]} proxies,` +
            ` the index says ${layer.leaves} and ${layer.proxies}`,
          'chunk table',
        );
      }
    });
    let cells = 0;
    for (const rows of this.cells.values()) if (rows.some(isGeometry)) cells += 1;
    const expected = this.layers.reduce((sum, layer) => sum + 2 ** layer.level, 0);
    if (cells !== expected) {
      throw new DamagedError(`${expected - cells} cells have no chunk`, 'chunk table');
    }
  }
}

function regionKey(level: number, tile: number): number {
  return level * 65536 + tile;
}

function isEarlier(other: ChunkRow, row: ChunkRow): boolean {
  return other.page < row.page || (other.page === row.page && other.id < row.id);
}

function isInFront(other: ChunkRow, row: ChunkRow): boolean {
  return isEarlier(other, row) && other.offset < row.offset;
}

function fault(row: ChunkRow, problem: string): DamagedError {
  return new DamagedError(problem, row.section);
}
