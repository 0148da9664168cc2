// Hashes, checksums and MessagePack.

import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { crc32c } from '../src/bytes/crc32c.ts';
import { contentHash, contentHashSync } from '../src/bytes/hash.ts';
import { MessagePackError, readMap } from '../src/bytes/msgpack.ts';
import { writeValue } from '../src/bytes/msgpack_write.ts';
import { sha256 } from '../src/bytes/sha256.ts';
import { randomBytes, randomFrom } from './support/random.ts';

test('the plain SHA-256 is that of node, at every length around a block', async () => {
  const random = randomFrom(3);
  for (let length = 0; length < 300; length++) {
    const bytes = randomBytes(random, length);
    const wanted = new Uint8Array(createHash('sha256').update(bytes).digest());
    expect(sha256(bytes)).toEqual(wanted);
    expect(await contentHash(bytes)).toEqual(wanted.subarray(0, 16));
    expect(contentHashSync(bytes)).toEqual(wanted.subarray(0, 16));
  }
});

test('CRC-32C of RFC 3720, appendix B.4', () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
});

describe('MessagePack', () => {
  const map = (...bytes: number[]): Uint8Array => Uint8Array.of(0x81, 0xa1, 0x61, ...bytes);

  test('reads what it writes', () => {
    const bytes = new Uint8Array([1, 2, 3]);
    const written = writeValue({
      whole: 300,
      big: 2 ** 48,
      half: -0.5,
      text: 'räksmörgås'.repeat(9),
      bytes,
      yes: true,
      list: [1, 'two', { three: 3 }],
    });
    const read = readMap(written);
    expect(read.get('whole')).toBe(300);
    expect(read.get('big')).toBe(2 ** 48);
    expect(read.get('half')).toEqual({ value: -0.5 });
    expect(read.get('text')).toBe('räksmörgås'.repeat(9));
    expect(read.get('bytes')).toEqual(bytes);
    expect(read.get('yes')).toBe(true);
    expect(read.get('list')).toEqual([1, 'two', new Map([['three', 3]])]);
  });

  test('reads every kind of integer', () => {
    const values: [number[], number | bigint][] = [
      [[0x7f], 127],
      [[0xe0], -32],
      [[0xcc, 0xff], 255],
      [[0xcd, 0xff, 0xfe], 65534],
      [[0xce, 0xff, 0xff, 0xff, 0xff], 2 ** 32 - 1],
      [[0xcf, 0, 0x1f, 255, 255, 255, 255, 255, 255], 2 ** 53 - 1],
      [[0xcf, 255, 255, 255, 255, 255, 255, 255, 255], 2n ** 64n - 1n],
      [[0xd0, 0x80], -128],
      [[0xd1, 0x80, 0], -32768],
      [[0xd2, 0x80, 0, 0, 0], -(2 ** 31)],
      [[0xd3, 255, 255, 255, 255, 255, 255, 255, 254], -2],
    ];
    for (const [bytes, value] of values) expect(readMap(map(...bytes)).get('a')).toBe(value);
  });

  const refused: Record<string, Uint8Array> = {
    'no map': Uint8Array.of(0x90),
    'a key twice': Uint8Array.of(0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2),
    'a key that is no string': Uint8Array.of(0x81, 1, 1),
    'bad UTF-8': map(0xa2, 0xc3, 0x28),
    'a surrogate': map(0xa3, 0xed, 0xa0, 0x80),
    'bytes behind': Uint8Array.of(0x80, 0),
    'a cut value': map(0xcd, 1),
    'a list longer than the bytes': map(0xdd, 0xff, 0xff, 0xff, 0xff),
    'a map longer than the bytes': map(0xdf, 0xff, 0xff, 0xff, 0xff),
    'bytes longer than the bytes': map(0xc6, 0xff, 0xff, 0xff, 0xff),
    'the byte that begins nothing': map(0xc1),
    'lists 17 deep': map(...new Array<number>(16).fill(0x91), 1),
  };
  for (const [problem, bytes] of Object.entries(refused)) {
    test(`refuses ${problem}`, () => expect(() => readMap(bytes)).toThrow(MessagePackError));
  }

  test('takes lists 16 deep, the map included', () => {
    expect(readMap(map(...new Array<number>(15).fill(0x91), 1)).size).toBe(1);
  });
});
