// Header and root index together: the head of a file, which its first 16384 bytes hold.

import { contentHash } from '../bytes/hash.ts';
import { MAX_ROOT_PACKED_BYTES, HEADER_BYTES } from '../constants.ts';
import { DamagedError, TruncatedError } from '../errors.ts';
import type { Poster } from '../update.ts';
import { checkHash } from './frame.ts';
import { readHeader, type Header } from './header.ts';
import { readRoot, type RootIndex } from './root.ts';

/** So many bytes always hold the head of a file. */
export const HEAD_BYTES = HEADER_BYTES + MAX_ROOT_PACKED_BYTES;

/** The head of a file. */
export interface FileHead {
  readonly header: Header;
  readonly root: RootIndex;
  readonly sceneHash: Uint8Array;
  /** Header and root index, as bytes of the file. */
  readonly bytes: Uint8Array;
}

/** Reads the head from the first bytes of a file; raises every class of FormatError. */
export async function readHead(data: Uint8Array): Promise<FileHead> {
  const header = readHeader(data);
  if (data.length < header.rootEnd) {
    throw new TruncatedError(`${data.length} bytes do not hold it`, 'root index', header.rootEnd);
  }
  const bytes = data.slice(0, header.rootEnd);
  const packed = bytes.subarray(HEADER_BYTES);
  await checkHash({ section: 'root index', hash: header.rootHash }, packed);
  const sceneHash = await contentHash(bytes);
  return { header, root: readRoot(packed, header, sceneHash), sceneHash, bytes };
}

/**
 * The poster of a file, from its bytes; null where there is none, or one of a kind that is not
 * known. Raises DamagedError.
 */
export async function readPoster(head: FileHead, bytes: Uint8Array): Promise<Poster | null> {
  const hash = head.root.posterHash;
  if (!hash) return null;
  if (bytes.length !== head.header.posterBytes) throw new DamagedError('it is cut', 'poster');
  await checkHash({ section: 'poster', hash }, bytes);
  const type = pictureType(bytes);
  return type === null ? null : { type, bytes: bytes.slice() };
}

function pictureType(bytes: Uint8Array): string | null {
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return 'image/jpeg';
  const text = String.fromCharCode(...bytes.subarray(0, 12));
  return text.startsWith('RIFF') && text.endsWith('WEBP') ? 'image/webp' : null;
}
