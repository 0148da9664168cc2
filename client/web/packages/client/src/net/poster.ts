// The poster of a scene that is streamed: a stream has none, so it is read from the file beside it.

import type { Header } from '../format/header.ts';
import type { HttpGet } from './http.ts';

/** The bytes of the poster, null where they cannot be had: a scene without one is whole. */
export async function fetchPoster(
  get: HttpGet,
  { rootEnd, posterEnd, posterBytes }: Header,
  signal: AbortSignal,
): Promise<Uint8Array | null> {
  try {
    const answer = await get({
      first: rootEnd,
      last: posterEnd - 1,
      ifMatch: null,
      isFresh: false,
      signal,
    });
    if (answer.status !== 206) return null;
    const bytes = new Uint8Array(posterBytes);
    let length = 0;
    for await (const data of answer.body) {
      bytes.set(data.subarray(0, posterBytes - length), length);
      length += data.length;
    }
    return length < posterBytes ? null : bytes;
  } catch {
    return null;
  }
}
