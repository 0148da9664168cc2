// How long the worker packs and sorts, in CPU time of one core: npm run bench.

import { expect, test } from 'vitest';
import { Depot } from '../src/sort/depot.ts';
import { Slots } from '../src/splats/slots.ts';
import { madeUp } from '../tests/splats.ts';

const SIZES = [150_000, 500_000, 2_000_000];
const PART_SPLATS = 2000;
const PASSES = 7;
const K = 3;

function cpuMs(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

for (const size of SIZES) {
  test(`${size} splats`, () => {
    const depot = new Depot(1, 'half');
    const slots = new Slots(64);
    const parts = Math.floor(size / PART_SPLATS);
    let packMs = 0;
    for (let key = 0; key < parts; key++) {
      const data = madeUp(PART_SPLATS, K, key);
      const spans = slots.take(PART_SPLATS)!;
      packMs += cpuMs(() => depot.add(key, spans, key, Uint32Array.of(PART_SPLATS), data));
      depot.activate(Uint32Array.of(key), true);
    }
    let order: Uint32Array | null = null;
    let count = 0;
    const sorts = Array.from({ length: PASSES }, (_, pass) => {
      const plane = { x: 0, y: 0, z: 1, offset: 60 + pass, eye: [0, 0, -60 - pass] } as const;
      return cpuMs(() => ({ order, count } = depot.sort(plane, order)));
    });
    expect(count).toBe(parts * PART_SPLATS);
    const rate = (count / packMs / 1000).toFixed(1);
    console.log(`${count} splats: pack ${rate} million/s, sort ${median(sorts).toFixed(0)} ms (${sorts[0]!.toFixed(0)} at least)`);
  });
}
