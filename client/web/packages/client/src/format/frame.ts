// Zstandard frames as the format stores them (spec/format.md, section 4): limits first, then the
// hash, then the head of the frame, and only then what it holds.

import { contentHash, contentHashSync, sameBytes } from '../bytes/hash.ts';
import { MAX_WINDOW_BYTES } from '../constants.ts';
import { DamagedError, LimitError } from '../errors.ts';
import { ZstdError } from '../zstd/fault.ts';
import { readFrameHead } from '../zstd/head.ts';
import { unpackFrame } from '../zstd/unpack.ts';

/** A part of a file that is hashed: root index, page or chunk. */
export interface Hashed {
  readonly section: string;
  readonly rawBytes: number;
  readonly hash: Uint8Array;
}

/** Raises DamagedError unless `packed` has the hash of `part`. */
export async function checkHash(part: Pick<Hashed, 'section' | 'hash'>, packed: Uint8Array): Promise<void> {
  if (!sameBytes(await contentHash(packed), part.hash)) throw hashFault(part.section);
}

/** The same, at once. */
export function checkHashSync(part: Pick<Hashed, 'section' | 'hash'>, packed: Uint8Array): void {
  if (!sameBytes(contentHashSync(packed), part.hash)) throw hashFault(part.section);
}

/** The content of `packed`, whose hash has been checked; raises DamagedError, LimitError. */
export function unpackChecked(part: Hashed, packed: Uint8Array): Uint8Array {
  const { section, rawBytes } = part;
  try {
    const head = readFrameHead(packed);
    if (head.dictionary !== 0) throw new DamagedError('a zstd dictionary is named', section);
    if (head.contentBytes !== rawBytes) {
      const stated = head.contentBytes ?? 'an unknown number of';
      throw new DamagedError(`the frame holds ${stated} bytes, the index says ${rawBytes}`, section);
    }
    if (head.windowBytes > Math.max(rawBytes, MAX_WINDOW_BYTES)) {
      throw new LimitError(`a zstd window of ${head.windowBytes} bytes`, section);
    }
    return unpackFrame(packed, head);
  } catch (error) {
    if (error instanceof ZstdError) {
      throw new DamagedError(`zstd: ${error.message}`, section, { cause: error });
    }
    throw error;
  }
}

function hashFault(section: string): DamagedError {
  return new DamagedError('the hash does not match', section);
}
