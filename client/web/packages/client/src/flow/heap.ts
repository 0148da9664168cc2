// A binary heap of ranked numbers: the least score first, then the least tie-breaker.

/** Something with a rank. */
export interface Ranked {
  readonly score: number;
  readonly tie: number;
  readonly item: number;
}

/** Whether one rank comes before another. */
export function isBefore(a: Omit<Ranked, 'item'>, b: Omit<Ranked, 'item'>): boolean {
  return a.score !== b.score ? a.score < b.score : a.tie < b.tie;
}

/** A priority queue. */
export class Heap {
  private readonly entries: Ranked[] = [];

  get first(): Ranked | undefined {
    return this.entries[0];
  }

  push(entry: Ranked): void {
    const { entries } = this;
    let at = entries.length;
    entries.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(entry, entries[parent]!)) break;
      entries[at] = entries[parent]!;
      at = parent;
    }
    entries[at] = entry;
  }

  pop(): Ranked | undefined {
    const { entries } = this;
    const top = entries[0];
    const last = entries.pop();
    if (!last || entries.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && isBefore(entries[child + 1]!, entries[child]!)) child += 1;
      if (!isBefore(entries[child]!, last)) break;
      entries[at] = entries[child]!;
      at = child;
    }
    entries[at] = last;
    return top;
  }
}
