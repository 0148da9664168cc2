// An allocator of runs of numbers: slots within a block, group ids in a table. First fit by rising start;
// adjacent free runs are merged.

import type { Span } from './layout.ts';

/** The free numbers of [0, size). */
export class FreeList {
  #size: number;
  readonly #starts: number[] = [];
  readonly #counts: number[] = [];
  #free = 0;

  constructor(size: number) {
    this.#size = size;
    if (size > 0) this.#insert(0, 0, size);
  }

  get size(): number {
    return this.#size;
  }

  /** How many numbers are free. */
  get free(): number {
    return this.#free;
  }

  /** Length of the longest run that is free. */
  get longest(): number {
    return this.#counts.reduce((a, b) => Math.max(a, b), 0);
  }

  /** One past the highest number that is taken. */
  get end(): number {
    const last = this.#starts.length - 1;
    if (last < 0) return this.#size;
    const start = this.#starts[last]!;
    return start + this.#counts[last]! === this.#size ? start : this.#size;
  }

  /** Adds the numbers from the old size on. */
  grow(size: number): void {
    const old = this.#size;
    this.#size = size;
    this.give(old, size - old);
  }

  /** The start of a run of `count`, or -1 where no run is long enough. */
  take(count: number): number {
    for (let i = 0; i < this.#starts.length; i++) {
      if (this.#counts[i]! >= count) return this.#cut(i, count);
    }
    return -1;
  }

  /** The longest run that is free, `count` numbers at most; null where nothing is free. */
  takeSome(count: number): Span | null {
    let best = -1;
    for (let i = 0; i < this.#counts.length; i++) {
      if (best < 0 || this.#counts[i]! > this.#counts[best]!) best = i;
    }
    if (best < 0) return null;
    const got = Math.min(count, this.#counts[best]!);
    return { start: this.#cut(best, got), count: got };
  }

  /** Gives back what was taken. */
  give(start: number, count: number): void {
    if (count <= 0) return;
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! < start) low = middle + 1;
      else high = middle;
    }
    const before = low > 0 && this.#starts[low - 1]! + this.#counts[low - 1]! === start;
    const after = low < this.#starts.length && start + count === this.#starts[low]!;
    if (before && after) {
      this.#counts[low - 1] = this.#counts[low - 1]! + count + this.#counts[low]!;
      this.#remove(low);
    } else if (before) {
      this.#counts[low - 1] = this.#counts[low - 1]! + count;
    } else if (after) {
      this.#starts[low] = start;
      this.#counts[low] = this.#counts[low]! + count;
    } else {
      this.#insert(low, start, count);
      return;
    }
    this.#free += count;
  }

  #cut(index: number, count: number): number {
    const start = this.#starts[index]!;
    this.#free -= count;
    if (this.#counts[index] === count) {
      this.#remove(index);
    } else {
      this.#starts[index] = start + count;
      this.#counts[index] = this.#counts[index]! - count;
    }
    return start;
  }

  #insert(index: number, start: number, count: number): void {
    this.#starts.splice(index, 0, start);
    this.#counts.splice(index, 0, count);
    this.#free += count;
  }

  #remove(index: number): void {
    this.#starts.splice(index, 1);
    this.#counts.splice(index, 1);
  }
}
