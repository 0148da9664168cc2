// The unpacker of zstd frames, against frames of the reference implementation.

import { compress, init } from '@bokuweb/zstd-wasm';
import { beforeAll, expect, test } from 'vitest';
import { ZstdError } from '../src/zstd/fault.ts';
import { readFrameHead } from '../src/zstd/head.ts';
import { unpackFrame } from '../src/zstd/unpack.ts';
import { xxh64Low } from '../src/zstd/xxh64.ts';
import { randomBytes, randomFrom } from './support/random.ts';

beforeAll(() => init());

test('unpacks what the reference packs', () => {
  const random = randomFrom(1);
  for (let i = 0; i < 300; i++) {
    const length = Math.floor(random() ** 4 * 400_000);
    const raw = randomBytes(random, length);
    const frame = compress(raw, 1 + Math.floor(random() * 19));
    expect(Buffer.compare(unpackFrame(frame), raw), `case ${i}`).toBe(0);
  }
});

test('raises ZstdError for frames that are changed, and nothing else', () => {
  const random = randomFrom(2);
  for (let i = 0; i < 2000; i++) {
    const raw = randomBytes(random, Math.floor(random() * 3000));
    const frame = compress(raw, 1 + Math.floor(random() * 19)).slice();
    for (let k = 0; k < 1 + random() * 3; k++) frame[Math.floor(random() * frame.length)]! ^= 1 << (random() * 8);
    const cut = random() < 0.2 ? frame.subarray(0, random() * frame.length) : frame;
    try {
      if ((readFrameHead(cut).contentBytes ?? 0) < 1 << 24) unpackFrame(cut);
    } catch (error) {
      expect(error).toBeInstanceOf(ZstdError);
    }
  }
});

test('reads the head of a frame', () => {
  const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x44, 0x58, 0x05, 0x00, 1, 0, 0);
  expect(readFrameHead(frame)).toEqual({
    headBytes: 8,
    contentBytes: 261,
    windowBytes: 2 ** 21,
    dictionary: 0,
    hasChecksum: true,
  });
});

test('XXH64 of known inputs', () => {
  expect(xxh64Low(new TextEncoder().encode('abc'))).toBe(0xad770999);
  expect(xxh64Low(new TextEncoder().encode('a'.repeat(31)))).toBe(0xda802916);
  expect(xxh64Low(Uint8Array.from({ length: 200 }, (_, i) => i))).toBe(0xb99e879c);
});
