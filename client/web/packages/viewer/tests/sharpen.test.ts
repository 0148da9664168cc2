import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { arranged } from '../src/sharpen/network.ts';
import { readWeights } from '../src/sharpen/weights.ts';

const SHIPPED = path.resolve(import.meta.dirname, '../../../../exgs/painter/weights/detail.npz');

function shipped(): ArrayBuffer {
  return Uint8Array.from(fs.readFileSync(SHIPPED)).buffer;
}

test('the shipped weights are read', () => {
  const weights = readWeights(shipped());
  const kernel = weights.get('blocks.0.1.weight')!;
  expect(kernel.shape).toEqual([48, 48, 3, 3]);
  expect(kernel.values.length).toBe(48 * 48 * 9);
  expect(kernel.values.every((value) => Number.isFinite(value) && Math.abs(value) < 8)).toBe(true);
  expect(weights.get('enter.weight')!.shape).toEqual([48, 33, 3, 3]);
  expect(weights.get('leave.bias')!.shape).toEqual([25]);
});

test('half floats have their values', () => {
  const file = shipped();
  const view = new DataView(file);
  const head = 30 + view.getUint16(26, true) + view.getUint16(28, true); // of the first entry
  const first = head + 10 + view.getUint16(head + 8, true);
  const halves = [0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x3555];
  halves.forEach((bits, i) => view.setUint16(first + 2 * i, bits, true));
  const values = [...readWeights(file).values()][0]!.values.subarray(0, halves.length);
  expect([...values]).toEqual([1, -2, 65504, 2 ** -24, -0, 1365 / 4096]);
});

test('what is not such an archive is refused', () => {
  expect(() => readWeights(new ArrayBuffer(100))).toThrow('no archive');
  const compressed = shipped();
  const view = new DataView(compressed);
  view.setUint16(view.getUint32(compressed.byteLength - 6, true) + 10, 8, true);
  expect(() => readWeights(compressed)).toThrow('compressed');
});

test('matrices of a convolution multiply like its kernel', () => {
  const [outs, ins, taps, inputs] = [11, 6, 9, 2];
  const value = (i: number): number => ((i * 7919) % 101) / 50 - 1;
  const kernel = { shape: [outs, ins, 3, 3], values: Float32Array.from({ length: outs * ins * taps }, (_, i) => value(i)) };
  const bias = { shape: [outs], values: Float32Array.from({ length: outs }, (_, i) => value(i + 17)) };
  const x = Array.from({ length: taps * inputs * 4 }, (_, i) => value(i + 5)); // [tap][channel], two unused
  for (const first of [0, 8]) {
    const data = arranged(kernel, bias, taps, inputs, first);
    for (let own = 0; own < Math.min(8, outs - first); own++) {
      let sum = data[2 * taps * inputs * 16 + own]!;
      let wanted = bias.values[first + own]!;
      for (let tap = 0; tap < taps; tap++) {
        for (let c = 0; c < 4 * inputs; c++) {
          const matrix = ((own >> 2) * taps + tap) * inputs + (c >> 2);
          sum += data[16 * matrix + 4 * (c & 3) + (own & 3)]! * x[tap * 4 * inputs + c]!;
          if (c < ins) wanted += kernel.values[((first + own) * ins + c) * taps + tap]! * x[tap * 4 * inputs + c]!;
        }
      }
      expect(sum).toBeCloseTo(wanted, 4);
    }
  }
});
