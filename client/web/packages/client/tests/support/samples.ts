// Sound files to test with: the vectors of the spec.

import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** spec/vectors, or the folder that EXGS_VECTORS names. */
export const VECTORS =
  process.env.EXGS_VECTORS ?? fileURLToPath(new URL('../../../../../../spec/vectors', import.meta.url));

/** A file below spec/vectors. */
export function readVector(path: string): Uint8Array {
  return new Uint8Array(readFileSync(`${VECTORS}/${path}`));
}

/** A JSON file below spec/vectors. */
export function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(`${VECTORS}/${path}`, 'utf8')) as T;
}

/** Names in a folder below spec/vectors. */
export function listVectors(path: string): string[] {
  return readdirSync(`${VECTORS}/${path}`);
}
