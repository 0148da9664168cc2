// Radix sort of numbers by 32 bit keys, least digit first, stable. The digits are no wider than the
// keys' range asks for, and all histograms are counted in one walk.

const DIGIT_BITS_MAX = 11;

/** Room for a sort, reused from one to the next. */
export class RadixSort {
  keys = new Uint32Array(0);
  ids = new Uint32Array(0);
  #keys2 = new Uint32Array(0);
  #ids2 = new Uint32Array(0);
  readonly #counts = new Uint32Array(3 << DIGIT_BITS_MAX);

  /** Makes `keys` and `ids` hold at least `count` values; what they hold now is lost. */
  reserve(count: number): void {
    if (this.keys.length >= count) return;
    const size = Math.ceil(count * 1.25);
    this.keys = new Uint32Array(size);
    this.ids = new Uint32Array(size);
    this.#keys2 = new Uint32Array(size);
    this.#ids2 = new Uint32Array(size);
  }

  /** Sorts the first `count` of `ids` by rising `keys`, both in place. */
  sort(count: number): void {
    let { keys, ids } = this;
    let least = 0xffffffff;
    let most = 0;
    for (let i = 0; i < count; i++) {
      const key = keys[i]!;
      if (key < least) least = key;
      if (key > most) most = key;
    }
    if (count === 0 || least === most) return;
    const bits = 32 - Math.clz32(most - least);
    const passes = Math.ceil(bits / DIGIT_BITS_MAX);
    const digitBits = Math.ceil(bits / passes);
    const mask = (1 << digitBits) - 1;
    const counts = this.#counts.fill(0);
    const second = digitBits;
    const third = 2 * digitBits;
    for (let i = 0; i < count; i++) {
      const key = keys[i]! - least;
      keys[i] = key;
      counts[key & mask]!++;
      if (passes > 1) counts[(1 << DIGIT_BITS_MAX) + ((key >>> second) & mask)]!++;
      if (passes > 2) counts[(2 << DIGIT_BITS_MAX) + ((key >>> third) & mask)]!++;
    }
    let keys2 = this.#keys2;
    let ids2 = this.#ids2;
    for (let pass = 0; pass < passes; pass++) {
      const base = pass << DIGIT_BITS_MAX;
      let sum = 0;
      for (let digit = base; digit <= base + mask; digit++) {
        const n = counts[digit]!;
        counts[digit] = sum;
        sum += n;
      }
      scatter(keys, ids, keys2, ids2, count, pass * digitBits, mask, counts, base);
      [keys, keys2] = [keys2, keys];
      [ids, ids2] = [ids2, ids];
    }
    this.keys = keys;
    this.ids = ids;
    this.#keys2 = keys2;
    this.#ids2 = ids2;
  }
}

function scatter(
  keys: Uint32Array,
  ids: Uint32Array,
  keysOut: Uint32Array,
  idsOut: Uint32Array,
  count: number,
  shift: number,
  mask: number,
  counts: Uint32Array,
  base: number,
): void {
  for (let i = 0; i < count; i++) {
    const key = keys[i]!;
    const at = counts[base + ((key >>> shift) & mask)]!++;
    keysOut[at] = key;
    idsOut[at] = ids[i]!;
  }
}
