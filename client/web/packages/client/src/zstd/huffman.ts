// Huffman-coded literals (RFC 8878, section 4.2): the tree from its weights, then one or four
// streams. This is the hot loop of unpacking: columns are coded by literals alone, as a rule.

import { BitReader, streamBits } from './bits.ts';
import { corrupt } from './fault.ts';
import { readFse } from './fse.ts';

const MOST_BITS = 11;
const WEIGHTS_LOG = 6;

/** Codes of up to `bits` bits; an entry holds a symbol, and the length of its code from bit 8. */
export interface HuffmanTable {
  readonly bits: number;
  readonly entries: Uint16Array;
}

/** Reads the description of a tree from `start`; returns it with where the description ends. */
export function readHuffman(
  source: Uint8Array,
  start: number,
  end: number,
): { table: HuffmanTable; end: number } {
  if (start >= end) corrupt('a Huffman tree is cut');
  const head = source[start]!;
  const weights = new Uint8Array(256);
  let count = 0;
  let stop: number;
  if (head >= 128) {
    count = head - 127;
    stop = start + 1 + ((count + 1) >> 1);
    if (stop > end) corrupt('a Huffman tree is cut');
    for (let i = 0; i < count; i++) {
      const pair = source[start + 1 + (i >> 1)]!;
      weights[i] = i & 1 ? pair & 15 : pair >> 4;
    }
  } else {
    stop = start + 1 + head;
    if (stop > end) corrupt('a Huffman tree is cut');
    count = readWeights(source, start + 1, stop, weights);
  }
  return { table: buildHuffman(weights, count), end: stop };
}

function readWeights(source: Uint8Array, start: number, end: number, weights: Uint8Array): number {
  const { table, end: body } = readFse(source, start, end, 13, WEIGHTS_LOG);
  const reader = new BitReader(source, body, end);
  let one = reader.read(table.log);
  let other = reader.read(table.log);
  if (reader.left < 0) corrupt('the weights of a Huffman tree are cut');
  let count = 0;
  for (;;) {
    if (count > 253) corrupt('a Huffman tree has too many weights');
    const entry = table.entries[one]!;
    const bits = (entry >>> 16) & 255;
    weights[count++] = entry >>> 24;
    if (reader.left < bits) {
      weights[count++] = table.entries[other]! >>> 24;
      return count;
    }
    const state = (entry & 0xffff) + reader.read(bits);
    one = other;
    other = state;
  }
}

function buildHuffman(weights: Uint8Array, count: number): HuffmanTable {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const weight = weights[i]!;
    if (weight > MOST_BITS) corrupt(`a Huffman weight of ${weight}`);
    if (weight > 0) sum += 1 << (weight - 1);
  }
  if (sum === 0) corrupt('a Huffman tree has no weights');
  const bits = 32 - Math.clz32(sum);
  const rest = (1 << bits) - sum;
  if (bits > MOST_BITS) corrupt(`Huffman codes of ${bits} bits`);
  if (rest & (rest - 1)) corrupt('the weights of a Huffman tree do not add up');
  weights[count] = 32 - Math.clz32(rest);
  const entries = new Uint16Array(1 << bits);
  let position = 0;
  for (let weight = 1; weight <= bits; weight++) {
    const length = bits + 1 - weight;
    for (let symbol = 0; symbol <= count; symbol++) {
      if (weights[symbol] !== weight) continue;
      const stop = position + (1 << (weight - 1));
      entries.fill(symbol | (length << 8), position, stop);
      position = stop;
    }
  }
  return { bits, entries };
}

/** Decodes the literals from `start` to `end` of the source into `out`; raises ZstdError. */
export function decodeLiterals(
  table: HuffmanTable,
  source: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  count: number,
  isSingle: boolean,
): void {
  if (isSingle) {
    decodeStream(table, source, start, end, out, 0, count);
    return;
  }
  if (end - start < 10 || count < 6) corrupt('four streams of literals are cut');
  const each = (count + 3) >> 2;
  let from = start + 6;
  for (let stream = 0; stream < 4; stream++) {
    const place = start + 2 * stream;
    const length = source[place]! | (source[place + 1]! << 8);
    const to = stream < 3 ? from + length : end;
    if (to > end) corrupt('four streams of literals are cut');
    decodeStream(table, source, from, to, out, stream * each, Math.min((stream + 1) * each, count));
    from = to;
  }
}

function decodeStream(
  table: HuffmanTable,
  source: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  first: number,
  stop: number,
): void {
  if (first > stop) corrupt('a stream of literals has a negative length');
  const entries = table.entries;
  const width = table.bits;
  const mask = (1 << width) - 1;
  let left = streamBits(source, start, end);
  let at = first;
  // 25 bits are available at a time: two codes of up to 11 bits, three of up to 8.
  const shift = 25 - width;
  const atOnce = width <= 8 ? 3 : 2;
  const fast = stop - atOnce;
  while (left >= 25 && at <= fast) {
    const bit = left - 25;
    const byte = start + (bit >>> 3);
    const word =
      (source[byte]! |
        (source[byte + 1]! << 8) |
        (source[byte + 2]! << 16) |
        (source[byte + 3]! << 24)) >>>
      (bit & 7);
    let entry = entries[(word >>> shift) & mask]!;
    let used = entry >>> 8;
    out[at] = entry;
    entry = entries[(word >>> (shift - used)) & mask]!;
    used += entry >>> 8;
    out[at + 1] = entry;
    if (atOnce === 3) {
      entry = entries[(word >>> (shift - used)) & mask]!;
      used += entry >>> 8;
      out[at + 2] = entry;
    }
    at += atOnce;
    left -= used;
  }
  while (at < stop) {
    const bit = left - width;
    const from = bit > 0 ? bit : 0;
    const byte = start + (from >>> 3);
    const word = source[byte]! | (source[byte + 1]! << 8) | (source[byte + 2]! << 16);
    let code = word >>> (from & 7);
    if (bit < 0) code = (code & ((1 << left) - 1)) << -bit;
    const entry = entries[code & mask]!;
    left -= entry >>> 8;
    if (left < 0) corrupt('a stream of literals is cut');
    out[at++] = entry;
  }
  if (left !== 0) corrupt('a stream of literals has bits to spare');
}
