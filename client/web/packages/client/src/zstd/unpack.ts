// One Zstandard frame (RFC 8878) of a known length, and nothing behind it. Written for exgs: no
// dictionaries, no streaming, small; every rule of the RFC that a decoder can check is checked.

import { corrupt } from './fault.ts';
import { decodeLiterals, readHuffman, type HuffmanTable } from './huffman.ts';
import { readFrameHead, type FrameHead } from './head.ts';
import { runSequences, type SequenceTables } from './sequences.ts';
import { xxh64Low } from './xxh64.ts';

const MOST_BLOCK_BYTES = 1 << 17;
const SPARE_BYTES = 8; // behind the source, for reads of whole words

let padded = new Uint8Array(1 << 16);
const literals = new Uint8Array(MOST_BLOCK_BYTES);

interface BlockState {
  huffman: HuffmanTable | null;
  readonly tables: SequenceTables;
  readonly repeats: Uint32Array;
}

/** The content of a frame whose head has been checked; raises ZstdError. */
export function unpackFrame(frame: Uint8Array, head: FrameHead = readFrameHead(frame)): Uint8Array {
  if (head.contentBytes === null) corrupt('the frame does not state its length');
  if (head.dictionary !== 0) corrupt('the frame names a dictionary');
  const source = pad(frame);
  const out = new Uint8Array(head.contentBytes);
  const mostBlock = Math.min(head.windowBytes, MOST_BLOCK_BYTES);
  const state: BlockState = {
    huffman: null,
    tables: { literals: null, offsets: null, matches: null },
    repeats: Uint32Array.of(1, 4, 8),
  };
  let at = 0;
  let position = head.headBytes;
  for (let isLast = false; !isLast; ) {
    if (position + 3 > frame.length) corrupt('the frame is cut');
    const block = source[position]! | (source[position + 1]! << 8) | (source[position + 2]! << 16);
    position += 3;
    isLast = (block & 1) !== 0;
    const kind = (block >> 1) & 3;
    const size = block >> 3;
    const packed = kind === 1 ? 1 : size;
    if (size > mostBlock) corrupt(`a block of ${size} bytes`);
    if (position + packed > frame.length) corrupt('the frame is cut');
    if (kind !== 2 && at + size > out.length) corrupt('the content is longer than stated');
    if (kind === 0) {
      out.set(source.subarray(position, position + size), at);
      at += size;
    } else if (kind === 1) {
      out.fill(source[position]!, at, at + size);
      at += size;
    } else if (kind === 2) {
      const stop = Math.min(at + mostBlock, out.length);
      at = unpackBlock(source, position, position + size, state, out, at, stop);
    } else corrupt('a block of the reserved kind');
    position += packed;
  }
  if (at !== out.length) corrupt(`${at} bytes came out, ${out.length} were stated`);
  if (head.hasChecksum) {
    if (position + 4 > frame.length) corrupt('the checksum is cut');
    const stored = new DataView(frame.buffer, frame.byteOffset).getUint32(position, true);
    if (stored !== xxh64Low(out)) corrupt('the checksum does not match');
    position += 4;
  }
  if (position !== frame.length) corrupt(`${frame.length - position} bytes behind the frame`);
  return out;
}

function unpackBlock(
  source: Uint8Array,
  start: number,
  end: number,
  state: BlockState,
  out: Uint8Array,
  first: number,
  stop: number,
): number {
  if (end - start < 2) corrupt('a compressed block is empty');
  const head = source[start]!;
  const kind = head & 3;
  const format = (head >> 2) & 3;
  let body: number;
  let count: number;
  if (kind < 2) {
    const headBytes = format === 1 ? 2 : format === 3 ? 3 : 1;
    const long = head | (source[start + 1]! << 8) | (source[start + 2]! << 16);
    count = headBytes === 1 ? head >> 3 : (headBytes === 2 ? long & 0xffff : long) >> 4;
    body = start + headBytes + (kind === 0 ? count : 1);
    if (count > MOST_BLOCK_BYTES || body > end) corrupt('the literals are cut');
    if (kind === 0) literals.set(source.subarray(body - count, body));
    else literals.fill(source[body - 1]!, 0, count);
  } else {
    const headBytes = format < 2 ? 3 : format + 2;
    const bits = format < 2 ? 10 : format === 2 ? 14 : 18;
    const low = (head | (source[start + 1]! << 8) | (source[start + 2]! << 16)) >>> 4;
    const long = low + (source[start + 3]! + source[start + 4]! * 256) * 2 ** 20;
    count = long % 2 ** bits;
    const packed = Math.floor(long / 2 ** bits) % 2 ** bits;
    let coded = start + headBytes;
    body = coded + packed;
    if (count > MOST_BLOCK_BYTES || body > end) corrupt('the literals are cut');
    if (kind === 2) {
      const { table, end: after } = readHuffman(source, coded, body);
      state.huffman = table;
      coded = after;
    }
    if (state.huffman === null) corrupt('literals use a tree that is not there');
    decodeLiterals(state.huffman, source, coded, body, literals, count, format === 0);
  }
  const { tables, repeats } = state;
  return runSequences(source, body, end, literals, count, tables, repeats, out, first, stop);
}

function pad(frame: Uint8Array): Uint8Array {
  const needed = frame.length + SPARE_BYTES;
  if (padded.length < needed) padded = new Uint8Array(needed + (needed >> 1));
  padded.set(frame);
  padded.fill(0, frame.length, needed);
  return padded;
}
