// Random values from a seed, so that a failure can be had again.

/** Numbers from 0 to below 1 (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes that are alike in one of several ways. */
export function randomBytes(random: () => number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const kind = Math.floor(random() * 5);
  const spread = 1 + random() * 255;
  for (let i = 0; i < length; i++) {
    if (kind === 0) bytes[i] = random() * 256;
    else if (kind === 1) bytes[i] = 7;
    else if (kind === 2) bytes[i] = random() * random() * random() * spread;
    else if (kind === 3) bytes[i] = i > 40 && random() < 0.95 ? bytes[i - 37]! : random() * 256;
    else bytes[i] = 'to be or not to be that is the question '.charCodeAt(i % 40);
  }
  return bytes;
}
