// FSE tables (RFC 8878, section 4.1): read from their description, or built from probabilities.

import { corrupt } from './fault.ts';

/** A decoding table: what each of the 2^log states gives, and where it leads. */
export interface FseTable {
  readonly log: number;
  /**
   * Of each state: its symbol from bit 24, the number of bits to read next from bit 16, and below
   * the first of the states that may follow, to which these bits are added.
   */
  readonly entries: Uint32Array;
}

/** A table that always gives `symbol`, without reading a bit. */
export function singleSymbol(symbol: number): FseTable {
  return { log: 0, entries: Uint32Array.of(symbol * 2 ** 24) };
}

/** A table from `probabilities`, where -1 stands for less than one; they add up to 2^log. */
export function buildFse(probabilities: ArrayLike<number>, log: number): FseTable {
  const size = 1 << log;
  const symbols = new Uint8Array(size);
  const counts = new Uint16Array(probabilities.length);
  let high = size - 1;
  for (let symbol = 0; symbol < probabilities.length; symbol++) {
    const probability = probabilities[symbol]!;
    if (probability === -1) symbols[high--] = symbol;
    counts[symbol] = Math.abs(probability);
  }
  const step = (size >> 1) + (size >> 3) + 3;
  let position = 0;
  for (let symbol = 0; symbol < probabilities.length; symbol++) {
    for (let i = 0; i < probabilities[symbol]!; i++) {
      symbols[position] = symbol;
      do position = (position + step) & (size - 1);
      while (position > high);
    }
  }
  if (position !== 0) corrupt('an FSE table does not fill its states');
  const entries = new Uint32Array(size);
  for (let state = 0; state < size; state++) {
    const symbol = symbols[state]!;
    const x = counts[symbol]!++;
    const bits = log - (31 - Math.clz32(x));
    entries[state] = (symbol << 24) | (bits << 16) | ((x << bits) - size);
  }
  return { log, entries };
}

/** Reads the description of a table from `start`; returns it with where the description ends. */
export function readFse(
  source: Uint8Array,
  start: number,
  end: number,
  mostSymbols: number,
  mostLog: number,
): { table: FseTable; end: number } {
  const stop = (end - start) * 8;
  let bit = 0;
  const peek = (count: number): number => {
    const byte = start + (bit >>> 3);
    const word =
      (source[byte] ?? 0) | ((source[byte + 1] ?? 0) << 8) | ((source[byte + 2] ?? 0) << 16);
    return (word >>> (bit & 7)) & ((1 << count) - 1);
  };
  const log = peek(4) + 5;
  bit = 4;
  if (log > mostLog) corrupt(`an FSE table of 2^${log} states`);
  const probabilities: number[] = [];
  let left = (1 << log) + 1;
  while (left > 1) {
    if (probabilities.length >= mostSymbols) corrupt('an FSE table has too many symbols');
    // The values 0 to `left` take `width` bits, the first `short` of them one less.
    const width = 32 - Math.clz32(left);
    const short = (1 << width) - 1 - left;
    let value = peek(width);
    const low = value & ((1 << (width - 1)) - 1);
    if (low < short) {
      value = low;
      bit += width - 1;
    } else {
      if (value >= 1 << (width - 1)) value -= short;
      bit += width;
    }
    const probability = value - 1;
    left -= Math.abs(probability);
    probabilities.push(probability);
    if (probability === 0) {
      for (let repeat = 3; repeat === 3; ) {
        repeat = peek(2);
        bit += 2;
        for (let i = 0; i < repeat; i++) probabilities.push(0);
        if (bit > stop || probabilities.length > mostSymbols) break;
      }
    }
    if (bit > stop) corrupt('an FSE table is cut');
  }
  if (left !== 1 || probabilities.length > mostSymbols) corrupt('an FSE table does not add up');
  return { table: buildFse(probabilities, log), end: start + ((bit + 7) >>> 3) };
}
