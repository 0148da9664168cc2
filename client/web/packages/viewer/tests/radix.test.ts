import { expect, test } from 'vitest';
import { RadixSort } from '../src/sort/radix.ts';
import { random } from './random.ts';

/** The obvious twin: a stable sort of numbers by their keys. */
function twin(keys: readonly number[]): number[] {
  return keys.map((_, i) => i).sort((p, q) => keys[p]! - keys[q]! || p - q);
}

function sorted(keys: readonly number[]): number[] {
  const radix = new RadixSort();
  radix.reserve(keys.length);
  keys.forEach((key, i) => {
    radix.keys[i] = key;
    radix.ids[i] = i;
  });
  radix.sort(keys.length);
  return [...radix.ids.subarray(0, keys.length)];
}

test('sorts as a comparison sort does, whatever the range of the keys', () => {
  const next = random(1);
  for (const range of [1, 2, 100, 2048, 2049, 1 << 20, 2 ** 32]) {
    for (const count of [0, 1, 2, 3, 1000]) {
      for (const least of [0, 2 ** 32 - range]) {
        const keys = Array.from({ length: count }, () => least + Math.floor(next() * range));
        expect(sorted(keys)).toEqual(twin(keys));
      }
    }
  }
});

test('a sort can be used again, for more and for fewer', () => {
  const radix = new RadixSort();
  const next = random(2);
  for (const count of [10, 5000, 3, 5000]) {
    radix.reserve(count);
    const keys = Array.from({ length: count }, () => Math.floor(next() * 2 ** 32));
    keys.forEach((key, i) => ([radix.keys[i], radix.ids[i]] = [key, i]));
    radix.sort(count);
    expect([...radix.ids.subarray(0, count)]).toEqual(twin(keys));
  }
});
