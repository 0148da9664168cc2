// Columns and Morton codes against obvious twins.

import { expect, test } from 'vitest';
import { mortonX, mortonY, mortonZ } from '../src/payload/morton.ts';
import { fromHalf } from '../src/payload/numbers.ts';
import { signedColumn, unsignedColumn } from '../src/payload/reader.ts';
import { randomFrom } from './support/random.ts';

function bigOf(random: () => number, bits: number): bigint {
  let value = 0n;
  for (let i = 0; i < bits; i++) value = (value << 1n) | BigInt(random() < 0.5);
  return value;
}

test('Morton codes, bit by bit', () => {
  const random = randomFrom(4);
  for (let i = 0; i < 3000; i++) {
    const code = bigOf(random, 1 + Math.floor(random() * 63));
    const axes = [0n, 0n, 0n];
    for (let bit = 0n; bit < 63n; bit++) {
      const axis = Number(bit % 3n);
      axes[axis] = axes[axis]! | (((code >> bit) & 1n) << (bit / 3n));
    }
    const low = Number(code & 0xffffffffn);
    const high = Number(code >> 32n);
    const got = [mortonX(low, high), mortonY(low, high), mortonZ(low, high)];
    expect(got).toEqual(axes.map(Number));
  }
});

test('columns of every width, as 64-bit integers rounded to doubles', () => {
  const random = randomFrom(5);
  for (let width = 0; width <= 8; width++) {
    const count = 200;
    const values = Array.from({ length: count }, () => {
      const extreme = random();
      const bits = 8 * width;
      if (extreme < 0.1) return (1n << BigInt(bits)) - 1n;
      return bigOf(random, Math.floor(random() * (bits + 1)));
    });
    const start = 5;
    const data = new Uint8Array(start + width * count);
    values.forEach((value, i) => {
      for (let plane = 0; plane < width; plane++) {
        data[start + plane * count + i] = Number((value >> BigInt(8 * plane)) & 255n);
      }
    });
    const out = new Float64Array(count);
    unsignedColumn(data, start, width, count, out);
    expect([...out]).toEqual(values.map(Number));
    signedColumn(data, start, width, count, out);
    const signed = values.map((value) => Number(value & 1n ? -(value >> 1n) - 1n : value >> 1n));
    expect([...out]).toEqual(signed);
  }
});

test('half floats', () => {
  const known: [number, number][] = [
    [0x0000, 0],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x0400, 2 ** -14],
    [0x3c00, 1],
    [0x3555, 0.333251953125],
    [0xc000, -2],
    [0x7bff, 65504],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
  ];
  for (const [bits, value] of known) expect(fromHalf(bits)).toBe(value);
  expect(fromHalf(0x7e00)).toBeNaN();
});
