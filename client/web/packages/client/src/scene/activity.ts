// Which cells are active, and up to which layer all that they cover is (spec/format.md, section 8).
// Knows no chunks and no splats: its input is when a cell is whole, its output whose groups may change.

import { cellKey, childCount } from '../format/rows.ts';
import type { LayerFacts } from '../update.ts';

interface Node {
  readonly layer: number;
  readonly tile: number;
  /** Everything that it is first drawn with has arrived. */
  isWhole: boolean;
  isActive: boolean;
  /** Highest layer of which all cells that it covers are active, -1 where it is not itself. */
  full: number;
  activeChildren: number;
}

/** The cells of a scene as a forest, of which a part is active. */
export class Activity {
  private readonly nodes = new Map<number, Node>();
  private readonly activeCells: number[];

  constructor(
    private readonly layers: readonly LayerFacts[],
    /** Called with each cell whose groups may have changed. */
    private readonly touch: (layer: number, tile: number) => void,
  ) {
    this.activeCells = layers.map(() => 0);
  }

  /** Highest layer of which every cell is active, -1 before the first. */
  get layer(): number {
    let layer = -1;
    while (
      layer + 1 < this.layers.length &&
      this.activeCells[layer + 1] === 2 ** this.layers[layer + 1]!.level
    ) {
      layer += 1;
    }
    return layer;
  }

  isActive(layer: number, tile: number): boolean {
    return this.nodes.get(cellKey(layer, tile))?.isActive ?? false;
  }

  /** The top layer of a child of an active cell: its leaves are amplified by the factor of that layer. */
  topLayer(layer: number, tile: number, child: number): number {
    if (layer + 1 === this.layers.length) return layer;
    const node = this.nodes.get(cellKey(layer + 1, this.firstChild(layer, tile) + child));
    return node?.isActive ? node.full : layer;
  }

  /** Whether this child is an active cell of the next layer, which replaces its proxies. */
  isChildActive(layer: number, tile: number, child: number): boolean {
    if (layer + 1 === this.layers.length) return false;
    return this.isActive(layer + 1, this.firstChild(layer, tile) + child);
  }

  /** A cell is whole, or no more. */
  setWhole(layer: number, tile: number, isWhole: boolean): void {
    const node = this.node(layer, tile);
    if (node.isWhole === isWhole) return;
    node.isWhole = isWhole;
    if (isWhole) this.activate(node);
    else if (node.isActive) this.deactivate(node);
  }

  private activate(start: Node): void {
    const pending = [start];
    for (let node = pending.pop(); node; node = pending.pop()) {
      const parent = this.parent(node);
      if (!node.isWhole || node.isActive || (parent && !parent.isActive)) continue;
      node.isActive = true;
      this.activeCells[node.layer]! += 1;
      this.touch(node.layer, node.tile);
      if (parent) parent.activeChildren += 1;
      this.refill(node);
      for (const child of this.children(node)) pending.push(child);
    }
  }

  private deactivate(start: Node): void {
    const pending = [start];
    for (let node = pending.pop(); node; node = pending.pop()) {
      if (!node.isActive) continue;
      node.isActive = false;
      node.full = -1;
      this.activeCells[node.layer]! -= 1;
      this.touch(node.layer, node.tile);
      const parent = this.parent(node);
      if (parent) parent.activeChildren -= 1;
      for (const child of this.children(node)) pending.push(child);
    }
    const parent = this.parent(start);
    if (parent) {
      this.touch(parent.layer, parent.tile);
      this.refill(parent);
    }
  }

  /** Brings `full` up to date from a cell upwards. */
  private refill(start: Node): void {
    for (let node: Node | undefined = start; node?.isActive; node = this.parent(node)) {
      let full = node.layer;
      const isLast = node.layer + 1 === this.layers.length;
      if (!isLast && node.activeChildren === childCount(this.layers, node.layer)) {
        full = Infinity;
        for (const child of this.children(node)) full = Math.min(full, child.full);
      }
      const parent = this.parent(node);
      if (parent) this.touch(parent.layer, parent.tile);
      if (full === node.full) return;
      node.full = full;
    }
  }

  private parent(node: Node): Node | undefined {
    if (node.layer === 0) return undefined;
    const step = this.layers[node.layer]!.level - this.layers[node.layer - 1]!.level;
    return this.node(node.layer - 1, node.tile >>> step);
  }

  private *children(node: Node): Iterable<Node> {
    if (node.layer + 1 === this.layers.length) return;
    const first = this.firstChild(node.layer, node.tile);
    for (let child = 0; child < childCount(this.layers, node.layer); child++) {
      const found = this.nodes.get(cellKey(node.layer + 1, first + child));
      if (found) yield found;
    }
  }

  private firstChild(layer: number, tile: number): number {
    return tile * childCount(this.layers, layer);
  }

  private node(layer: number, tile: number): Node {
    const key = cellKey(layer, tile);
    let node = this.nodes.get(key);
    if (!node) {
      node = { layer, tile, isWhole: false, isActive: false, full: -1, activeChildren: 0 };
      this.nodes.set(key, node);
    }
    return node;
  }
}
