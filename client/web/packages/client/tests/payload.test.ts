// Columns and Morton codes against obvious twins.

import { expect, test } from 'vitest';
import { SPARSE_COLUMN } from '../src/constants.ts';
import { mortonX, mortonY, mortonZ } from '../src/payload/morton.ts';
import { fromHalf } from '../src/payload/numbers.ts';
import { signedColumn, unsignedColumn } from '../src/payload/reader.ts';
import { addSh, zeroVectors, type Basis } from '../src/payload/sh.ts';
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

/** An SH payload of these integers, [component][leaf]; a component is sparse or has two planes. */
function shPayload(values: readonly (readonly number[])[], sparse: readonly boolean[], valueWidth: number, step: number) {
  const count = values[0]!.length;
  const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value);
  const planes = (column: readonly number[], width: number): number[] =>
    Array.from({ length: width }, (_, plane) => column.map((value) => (value >>> (8 * plane)) & 255)).flat();
  const flagged = values.filter((_, component) => sparse[component]);
  const bytes: number[] = sparse.map((is) => (is ? SPARSE_COLUMN : 2));
  values.forEach((column, component) => {
    if (!sparse[component]) bytes.push(...planes(column.map(zigzag), 2));
  });
  for (let first = 0; first < flagged.length; first += 8) {
    for (let leaf = 0; leaf < count; leaf++) {
      const eight = flagged.slice(first, first + 8);
      bytes.push(eight.reduce((byte, column, bit) => byte | (column[leaf] === 0 ? 0 : 0x80 >> bit), 0));
    }
  }
  const entries = flagged.flatMap((column) => column.filter((value) => value !== 0).map((value) => zigzag(value) - 1));
  bytes.push(...planes(entries, valueWidth));
  const head = new DataView(new ArrayBuffer(8));
  head.setUint16(0, values.length, true);
  head.setUint8(2, valueWidth);
  head.setFloat32(4, step, true);
  return Uint8Array.of(...new Uint8Array(head.buffer), ...bytes);
}

test('SH payloads, dense and sparse, as sums over every component', () => {
  const random = randomFrom(6);
  for (const [size, components, valueWidth] of [[12, 5, 1], [27, 20, 2], [48, 48, 1], [48, 17, 2]] as const) {
    const count = 40;
    const step = 0.25;
    const most = valueWidth === 1 ? 100 : 3000;
    const values = Array.from({ length: components }, () =>
      Array.from({ length: count }, () => (random() < 0.7 ? 0 : Math.round((2 * random() - 1) * most))),
    );
    const sparse = values.map(() => random() < 0.7);
    const rows = Float64Array.from({ length: components * size }, () => Math.fround(random() - 0.5));
    const basis: Basis = { bases: 1, components, size, rows };
    const sums = zeroVectors(count, basis);
    const payload = shPayload(values, sparse, valueWidth, step);
    for (let pass = 0; pass < 2; pass++) addSh(payload, basis, count, sums, 'chunk 1');
    for (let leaf = 0; leaf < count; leaf++) {
      for (let k = 0; k < size; k++) {
        const wanted = values.reduce((sum, column, c) => sum + 2 * column[leaf]! * step * rows[c * size + k]!, 0);
        const got = k < 3 ? sums.dc[3 * leaf + k]! : sums.rest[leaf * (size - 3) + k - 3]!;
        expect(got).toBeCloseTo(wanted, 2);
      }
    }
  }
});
