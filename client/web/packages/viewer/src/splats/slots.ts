// Slots for parts: blocks with a free list each. A part gets one run where there is one, else several
// where many slots are free, and else a new block. No run crosses the end of a block.

import { FreeList } from './free_list.ts';
import { BLOCK_SLOTS, GRAIN, ROW_SLOTS, type Span } from './layout.ts';

const SCATTERED = 0.2; // share of slots that is free: new parts are cut to fit rather than a block added

const FAIR_GRAINS = 16; // of a piece: fewer pieces are quicker to upload

/** Allocates and frees slots; grows by blocks up to `mostBlocks`. */
export class Slots {
  readonly #blocks: FreeList[] = [];
  readonly #mostBlocks: number;

  constructor(mostBlocks: number) {
    this.#mostBlocks = mostBlocks;
  }

  get blocks(): number {
    return this.#blocks.length;
  }

  /** Rows of a block from its first to the last with a slot that is taken. */
  rows(block: number): number {
    return Math.ceil(((this.#blocks[block]?.end ?? 0) * GRAIN) / ROW_SLOTS);
  }

  /** Runs of `count` slots together, or null where there is no room and none can be made. */
  take(count: number): Span[] | null {
    let left = Math.ceil(count / GRAIN);
    const grains: Span[] = [];
    while (left > 0) {
      const piece = Math.min(left, BLOCK_SLOTS / GRAIN);
      const whole = this.#takeRun(piece) ?? (this.#isScattered(left) ? null : this.#takeNew(piece));
      if (whole === null) break;
      grains.push(whole);
      left -= piece;
    }
    while (left > 0) {
      const some = this.#takeSome(left) ?? this.#takeNew(Math.min(left, BLOCK_SLOTS / GRAIN));
      if (some === null) {
        for (const { start, count: run } of grains) this.#giveGrains(start, run);
        return null;
      }
      grains.push(some);
      left -= some.count;
    }
    return trim(grains, count);
  }

  /** Gives back the runs that `take` handed out. */
  give(spans: readonly Span[]): void {
    for (const { start, count } of spans) {
      this.#giveGrains(start / GRAIN, Math.ceil(count / GRAIN));
    }
  }

  #takeRun(grains: number): Span | null {
    const size = BLOCK_SLOTS / GRAIN;
    for (let block = 0; block < this.#blocks.length; block++) {
      const start = this.#blocks[block]!.take(grains);
      if (start >= 0) return { start: block * size + start, count: grains };
    }
    return null;
  }

  /** A run at the start of a new block, null where there may be no more. */
  #takeNew(grains: number): Span | null {
    const size = BLOCK_SLOTS / GRAIN;
    if (this.#blocks.length >= this.#mostBlocks) return null;
    this.#blocks.push(new FreeList(size));
    const start = this.#blocks[this.#blocks.length - 1]!.take(grains);
    return { start: (this.#blocks.length - 1) * size + start, count: grains };
  }

  /** Whether there is room for `grains` in pieces, and much of all room is free. */
  #isScattered(grains: number): boolean {
    const free = this.#blocks.reduce((sum, block) => sum + block.free, 0);
    const all = (this.#blocks.length * BLOCK_SLOTS) / GRAIN;
    return free >= grains && free > SCATTERED * all;
  }

  /**
   * A run of up to `grains`: the longest of the first block that has one of a fair length, so that later
   * blocks become empty, else the longest of all.
   */
  #takeSome(grains: number): Span | null {
    const size = BLOCK_SLOTS / GRAIN;
    const lengths = this.#blocks.map((block) => block.longest);
    const fair = lengths.findIndex((length) => length >= Math.min(grains, FAIR_GRAINS));
    const block = fair >= 0 ? fair : lengths.indexOf(Math.max(...lengths));
    const some = this.#blocks[block]?.takeSome(grains);
    return some ? { start: block * size + some.start, count: some.count } : null;
  }

  #giveGrains(start: number, count: number): void {
    const size = BLOCK_SLOTS / GRAIN;
    this.#blocks[Math.floor(start / size)]!.give(start % size, count);
  }
}

/** Runs of grains as runs of slots, the last cut to what was asked for. */
function trim(grains: readonly Span[], count: number): Span[] {
  let left = count;
  return grains.map((run) => {
    const slots = Math.min(left, run.count * GRAIN);
    left -= slots;
    return { start: run.start * GRAIN, count: slots };
  });
}
