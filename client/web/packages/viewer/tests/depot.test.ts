import { expect, test } from 'vitest';
import { Depot } from '../src/sort/depot.ts';
import { GRAIN } from '../src/splats/layout.ts';
import { Slots } from '../src/splats/slots.ts';
import { random } from './random.ts';
import { madeUp } from './splats.ts';

const PLANE = { x: 0.6, y: 0, z: 0.8, offset: 3, eye: [-1.8, 0, -2.4] } as const;

/** Slots of what is in front, farthest first, the obvious way. */
function twin(points: Map<number, readonly number[]>): { slot: number; depth: number }[] {
  return [...points]
    .map(([slot, [x = 0, y = 0, z = 0]]) => ({
      slot,
      depth: Math.fround(PLANE.x * x + PLANE.y * y + PLANE.z * z + PLANE.offset),
    }))
    .filter(({ depth }) => depth >= 0)
    .sort((p, q) => q.depth - p.depth || p.slot - q.slot);
}

test('the order is that of depth, of active groups alone, whatever was dropped between', () => {
  const next = random(10);
  const depot = new Depot(0, 'half');
  const slots = new Slots(4);
  const points = new Map<number, readonly number[]>();
  const parts = new Map<number, { spans: ReturnType<Slots['take']>; active: boolean }>();
  for (let key = 0; key < 40; key++) {
    const count = 1 + Math.floor(next() * 5 * GRAIN);
    const data = madeUp(count, 0, key);
    const spans = slots.take(count)!;
    const first = Math.floor(next() * count);
    depot.add(key, spans, 2 * key, Uint32Array.of(first, count - first), data);
    const active = next() < 0.7;
    depot.activate(Uint32Array.of(2 * key, 2 * key + 1), active);
    parts.set(key, { spans, active });
    let i = 0;
    for (const { start, count: run } of spans) {
      for (let slot = start; slot < start + run; slot++, i++) {
        if (active) points.set(slot, [...data.means.subarray(3 * i, 3 * i + 3)]);
        else points.delete(slot);
      }
    }
    if (key % 3 === 2) {
      const gone = parts.get(key - 1)!;
      depot.drop(key - 1);
      slots.give(gone.spans!);
      for (const { start, count: run } of gone.spans!) {
        for (let slot = start; slot < start + run; slot++) points.delete(slot);
      }
      parts.delete(key - 1);
    }
    const { order, count: length } = depot.sort(PLANE, null);
    const front = new Set(twin(points).map(({ slot }) => slot));
    const got = [...order.subarray(0, length)];
    // What lies a little behind the camera may follow
    expect(got.slice(0, front.size)).toEqual(twin(points).map(({ slot }) => slot));
    expect(got.every((slot) => points.has(slot))).toBe(true);
  }
});

test('one group of a part can be in the order without the other', () => {
  const depot = new Depot(0, 'half');
  const data = madeUp(10);
  data.means.forEach((_, i) => (data.means[i] = i % 3 === 2 ? 1 : 0));
  depot.add(0, [{ start: 64, count: 10 }], 5, Uint32Array.of(4, 0, 6), data);
  depot.activate(Uint32Array.of(7), true);
  const { order, count } = depot.sort({ x: 0, y: 0, z: 1, offset: 0, eye: [0, 0, 0] }, null);
  expect([...order.subarray(0, count)].sort((p, q) => p - q)).toEqual([68, 69, 70, 71, 72, 73]);
});

test('a refinement changes what is given and sorts by the new means', () => {
  const depot = new Depot(1, 'half');
  const data = madeUp(3, 3);
  const added = depot.add(7, [{ start: 0, count: 3 }], 0, Uint32Array.of(3), data);
  depot.activate(Uint32Array.of(0), true);
  const means = Float32Array.of(0, 0, 2, 0, 0, 9, 0, 0, 5);
  const refined = depot.refine(7, { means })!;
  expect(refined.b).toBeNull();
  expect(refined.sh).toBeNull();
  expect([...refined.a!].filter((_, i) => i % 4 === 3)).toEqual([...added.a!].filter((_, i) => i % 4 === 3));
  const plane = { x: 0, y: 0, z: 1, offset: 0, eye: [0, 0, 0] } as const;
  expect([...depot.sort(plane, null).order.subarray(0, 3)]).toEqual([1, 2, 0]);
  expect(depot.refine(8, { means })).toBeNull();
});

test('an order is written where there is room for it', () => {
  const depot = new Depot(0, 'half');
  depot.add(0, [{ start: 0, count: 5 }], 0, Uint32Array.of(5), madeUp(5));
  depot.activate(Uint32Array.of(0), true);
  const room = new Uint32Array(10);
  expect(depot.sort(PLANE, room).order).toBe(room);
  expect(depot.sort(PLANE, new Uint32Array(0)).order.length).toBeGreaterThan(0);
});

test('a measurement does not see floaters', () => {
  const depot = new Depot(0, 'half');
  const data = madeUp(1000);
  data.means.forEach((value, i) => (data.means[i] = i < 30 ? 1e4 : value / 10 + 5));
  depot.add(0, [{ start: 0, count: 1000 }], 0, Uint32Array.of(1000), data);
  expect(depot.measure().radius).toBe(0);
  depot.activate(Uint32Array.of(0), true);
  const { center, radius } = depot.measure();
  center.forEach((value) => expect(value).toBeCloseTo(5, 0));
  expect(radius).toBeGreaterThan(1.5);
  expect(radius).toBeLessThan(4);
});

test('blocks that nothing is in any more are freed, and come again', () => {
  const depot = new Depot(0, 'half');
  const slots = new Slots(4);
  const count = 100_000;
  const data = madeUp(count);
  const take = (key: number): NonNullable<ReturnType<Slots['take']>> => {
    const spans = slots.take(count)!;
    depot.add(key, spans, key, Uint32Array.of(count), data);
    depot.activate(Uint32Array.of(key), true);
    return spans;
  };
  const [first] = [take(0), take(1), take(2)];
  const three = depot.bytes;
  slots.give(first);
  depot.drop(0);
  expect(depot.bytes).toBeLessThan(three);
  expect(depot.sort(PLANE, null).count).toBeLessThanOrEqual(2 * count);
  take(3);
  expect(depot.bytes).toBe(three);
  for (const key of [1, 2, 3]) depot.drop(key);
  expect(depot.bytes).toBe(0);
  expect(depot.sort(PLANE, null).count).toBe(0);
});
