// What is wrong with a frame; the caller names the section of the file.

/** A frame that breaks RFC 8878, or the rules of the format for frames. */
export class ZstdError extends Error {
  override name = 'ZstdError';
}

/** Raises ZstdError. */
export function corrupt(problem: string): never {
  throw new ZstdError(problem);
}
