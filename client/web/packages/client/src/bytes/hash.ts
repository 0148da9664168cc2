// The format's hash: the first 16 bytes of SHA-256, by crypto.subtle where it exists.

import { HASH_BYTES } from '../constants.ts';
import { sha256 } from './sha256.ts';

/** The hash of `data`: 16 bytes. */
export async function contentHash(data: Uint8Array): Promise<Uint8Array> {
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined;
  if (!subtle) return contentHashSync(data);
  const digest = await subtle.digest('SHA-256', data as BufferSource);
  return new Uint8Array(digest, 0, HASH_BYTES);
}

/** The same, at once, by plain code. */
export function contentHashSync(data: Uint8Array): Uint8Array {
  return sha256(data).subarray(0, HASH_BYTES);
}

/** Whether two byte strings are equal. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Bytes as hex digits. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
