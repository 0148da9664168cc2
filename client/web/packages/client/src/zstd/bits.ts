// A bit stream that is read backwards from its last set bit (RFC 8878, section 4.1).
// The buffer must have four bytes to spare behind the stream.

import { corrupt } from './fault.ts';

/** Bits of a stream from `start` to `end`, excluding its end mark; raises ZstdError. */
export function streamBits(source: Uint8Array, start: number, end: number): number {
  const last = end > start ? source[end - 1] ?? 0 : 0;
  if (last === 0) corrupt('a bit stream has no end mark');
  return (end - start) * 8 - Math.clz32(last) + 23;
}

/** The 25 bits, at least, from a bit of the stream that begins at `start`. */
function wordAt(source: Uint8Array, start: number, bit: number): number {
  const byte = start + (bit >>> 3);
  const word =
    source[byte]! | (source[byte + 1]! << 8) | (source[byte + 2]! << 16) | (source[byte + 3]! << 24);
  return word >>> (bit & 7);
}

/** Reads bits from the end of a stream towards its start. */
export class BitReader {
  /** Bits that are left; negative once more were read than there are. */
  left: number;

  constructor(
    private readonly source: Uint8Array,
    private readonly start: number,
    end: number,
  ) {
    this.left = streamBits(source, start, end);
  }

  /** The next `count` bits, up to 25; beyond the start they are zeros. */
  read(count: number): number {
    const left = this.left - count;
    this.left = left;
    if (left < 0) {
      return left + count > 0 ? (wordAt(this.source, this.start, 0) << -left) & ((1 << count) - 1) : 0;
    }
    return wordAt(this.source, this.start, left) & ((1 << count) - 1);
  }

  /** The next `count` bits, up to 31. */
  readLong(count: number): number {
    if (count <= 24) return this.read(count);
    const high = this.read(count - 16);
    return high * 65536 + this.read(16);
  }
}
