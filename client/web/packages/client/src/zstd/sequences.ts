// Sequences (RFC 8878, section 3.1.1.3.2): literals to copy, then a match to repeat.

import { BitReader } from './bits.ts';
import { corrupt } from './fault.ts';
import { buildFse, readFse, singleSymbol, type FseTable } from './fse.ts';

/** The tables of the block before, which a block may use again. */
export interface SequenceTables {
  literals: FseTable | null;
  offsets: FseTable | null;
  matches: FseTable | null;
}

const LITERAL_BITS = codeBits(16, [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
const LITERAL_BASE = bases(LITERAL_BITS, 0);
const MATCH_BITS = codeBits(
  32,
  [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
);
const MATCH_BASE = bases(MATCH_BITS, 3);
const MOST_OFFSET_CODE = 31;
const OFFSET_BASE = Uint32Array.from({ length: MOST_OFFSET_CODE + 1 }, (_, code) => 2 ** code);

const LITERAL_DEFAULT = buildFse(
  [4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1]
    .concat([-1, -1, -1, -1]),
  6,
);
const MATCH_DEFAULT = buildFse(
  [1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    .concat([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1]),
  6,
);
const OFFSET_DEFAULT = buildFse(
  [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
  5,
);

/** Runs the sequences from `start` to `end`; returns where the output ends. Raises ZstdError. */
export function runSequences(
  source: Uint8Array,
  start: number,
  end: number,
  literals: Uint8Array,
  literalCount: number,
  tables: SequenceTables,
  repeats: Uint32Array,
  out: Uint8Array,
  first: number,
  stop: number,
): number {
  if (start >= end) corrupt('a block has no sequences section');
  let position = start;
  let count = source[position++]!;
  if (count >= 128) {
    if (count === 255) {
      count = 0x7f00 + source[position]! + (source[position + 1]! << 8);
      position += 2;
    } else count = ((count - 128) << 8) + source[position++]!;
  }
  const target = { literals, literalCount, taken: 0, out, at: first, stop };
  if (count > 0) {
    const body = readTables(source, position, end, tables);
    execute(source, body, end, count, tables, repeats, target);
  } else if (position !== end) corrupt('bytes stand behind the last sequence');
  const { at, taken } = target;
  if (at + literalCount - taken > stop) corrupt('the literals are longer than their block');
  out.set(literals.subarray(taken, literalCount), at);
  return at + literalCount - taken;
}

/** Reads the tables of a block, into `tables`; returns where the sequences start. */
function readTables(source: Uint8Array, start: number, end: number, tables: SequenceTables): number {
  if (start >= end) corrupt('the sequences section is cut');
  let position = start;
  const modes = source[position++]!;
  if (modes & 3) corrupt('reserved bits of the sequences section are set');
  const read = (mode: number, before: FseTable | null, normal: FseTable, most: number, log: number) => {
    if (mode === 0) return normal;
    if (mode === 3) return before ?? corrupt('a table is repeated that is not there');
    if (mode === 1) {
      const symbol = position < end ? source[position++]! : corrupt('the sequences section is cut');
      return symbol < most ? singleSymbol(symbol) : corrupt(`a code of ${symbol}`);
    }
    const { table, end: after } = readFse(source, position, end, most, log);
    position = after;
    return table;
  };
  tables.literals = read(modes >> 6, tables.literals, LITERAL_DEFAULT, LITERAL_BITS.length, 9);
  tables.offsets = read((modes >> 4) & 3, tables.offsets, OFFSET_DEFAULT, MOST_OFFSET_CODE + 1, 8);
  tables.matches = read((modes >> 2) & 3, tables.matches, MATCH_DEFAULT, MATCH_BITS.length, 9);
  return position;
}

/** What sequences read from and write to. */
interface Target {
  readonly literals: Uint8Array;
  readonly literalCount: number;
  taken: number; // of the literals
  readonly out: Uint8Array;
  at: number;
  readonly stop: number;
}

/** Runs `count` sequences. */
function execute(
  source: Uint8Array,
  start: number,
  end: number,
  count: number,
  tables: SequenceTables,
  repeats: Uint32Array,
  target: Target,
): void {
  const { literals, literalCount, out, stop } = target;
  const { log: literalLog, entries: literalEntries } = tables.literals!;
  const { log: offsetLog, entries: offsetEntries } = tables.offsets!;
  const { log: matchLog, entries: matchEntries } = tables.matches!;
  let { at, taken } = target;
  const reader = new BitReader(source, start, end);
  let literalState = reader.read(literalLog);
  let offsetState = reader.read(offsetLog);
  let matchState = reader.read(matchLog);
  for (let i = 0; i < count; i++) {
    const offsetEntry = offsetEntries[offsetState]!;
    const matchEntry = matchEntries[matchState]!;
    const literalEntry = literalEntries[literalState]!;
    const offsetCode = offsetEntry >>> 24;
    const value = OFFSET_BASE[offsetCode]! + reader.readLong(offsetCode);
    const matchBits = MATCH_BITS[matchEntry >>> 24]!;
    const literalBits = LITERAL_BITS[literalEntry >>> 24]!;
    let matchLength = MATCH_BASE[matchEntry >>> 24]!;
    let literalLength = LITERAL_BASE[literalEntry >>> 24]!;
    if (matchBits > 0) matchLength += reader.read(matchBits);
    if (literalBits > 0) literalLength += reader.read(literalBits);
    if (reader.left < 0) corrupt('the sequences are cut');
    const offset = nextOffset(repeats, value, literalLength === 0);
    if (taken + literalLength > literalCount || at + literalLength + matchLength > stop) {
      corrupt('a sequence is longer than its block');
    }
    for (const last = at + literalLength; at < last; at++) out[at] = literals[taken++]!;
    if (offset > at || offset === 0) corrupt('a match lies before the content');
    if (offset >= matchLength && matchLength > 32) {
      out.copyWithin(at, at - offset, at - offset + matchLength);
      at += matchLength;
    } else for (const last = at + matchLength; at < last; at++) out[at] = out[at - offset]!;
    if (i + 1 < count) {
      // The bits of the three states are adjacent: 25 at most, in rare cases 26.
      const ofLiteral = (literalEntry >>> 16) & 255;
      const ofMatch = (matchEntry >>> 16) & 255;
      const ofOffset = (offsetEntry >>> 16) & 255;
      const most = ofLiteral + ofMatch + ofOffset;
      literalState = literalEntry & 0xffff;
      matchState = matchEntry & 0xffff;
      offsetState = offsetEntry & 0xffff;
      if (most <= 25) {
        const bits = reader.read(most);
        literalState += bits >>> (ofMatch + ofOffset);
        matchState += (bits >>> ofOffset) & ((1 << ofMatch) - 1);
        offsetState += bits & ((1 << ofOffset) - 1);
      } else {
        literalState += reader.read(ofLiteral);
        matchState += reader.read(ofMatch);
        offsetState += reader.read(ofOffset);
      }
    }
  }
  if (reader.left !== 0) corrupt('the sequences have bits to spare');
  target.at = at;
  target.taken = taken;
}

function nextOffset(repeats: Uint32Array, value: number, isShifted: boolean): number {
  if (value > 3) {
    repeats[2] = repeats[1]!;
    repeats[1] = repeats[0]!;
    return (repeats[0] = value - 3);
  }
  const which = value - 1 + (isShifted ? 1 : 0);
  if (which === 0) return repeats[0]!;
  const offset = which === 3 ? repeats[0]! - 1 : repeats[which]!;
  if (which !== 1) repeats[2] = repeats[1]!;
  repeats[1] = repeats[0]!;
  return (repeats[0] = offset);
}

function codeBits(zeros: number, rest: readonly number[]): Uint8Array {
  return Uint8Array.from([...new Array<number>(zeros).fill(0), ...rest]);
}

function bases(bits: Uint8Array, first: number): Uint32Array {
  const base = new Uint32Array(bits.length);
  let value = first;
  for (let code = 0; code < bits.length; code++) {
    base[code] = value;
    value += 2 ** bits[code]!;
  }
  return base;
}
