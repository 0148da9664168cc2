// Order of parts, budget, backoff and throttle, on files of the vectors.

import { describe, expect, test } from 'vitest';
import { ChunkKind } from '../src/constants.ts';
import { Heap, isBefore, type Ranked } from '../src/flow/heap.ts';
import { isPage, pageId } from '../src/flow/parts.ts';
import { RangeReader } from '../src/flow/ranges.ts';
import type { Receiver } from '../src/flow/receiver.ts';
import { boxWeight, eyeOf } from '../src/flow/visibility.ts';
import { readHead } from '../src/format/head.ts';
import type { ChunkRow } from '../src/format/rows.ts';
import { Backoff } from '../src/net/backoff.ts';
import { ConnectionLostError, StreamError } from '../src/net/errors.ts';
import { Throttle } from '../src/net/throttle.ts';
import type { View } from '../src/update.ts';
import { quietReceiver } from './support/receiver.ts';
import { readJson, readVector } from './support/samples.ts';
import { randomFrom } from './support/random.ts';

const names = Object.keys(readJson<Record<string, unknown>>('valid/index.json'));

const viewFrom = (x: number, y: number, z: number): View => ({
  viewmat: Float64Array.of(1, 0, 0, -x, 0, 1, 0, -y, 0, 0, 1, -z, 0, 0, 0, 1),
  K: Float64Array.of(50, 0, 48, 0, 50, 32, 0, 0, 1),
  width: 96,
  height: 64,
});

test('a heap gives what sorting gives', () => {
  const random = randomFrom(7);
  const heap = new Heap();
  const all: Ranked[] = [];
  for (let item = 0; item < 500; item++) {
    const entry = { score: Math.floor(random() * 50), tie: Math.floor(random() * 1e6), item };
    heap.push(entry);
    all.push(entry);
  }
  all.sort((a, b) => (isBefore(a, b) ? -1 : 1));
  expect(all.map(() => heap.pop()!.item)).toEqual(all.map(({ item }) => item));
});

describe.each(names)('the order of %s', (name) => {
  for (const [how, view] of [
    ['file order', null],
    ['a view', viewFrom(0, 0, -4)],
    ['a view that sees nothing', viewFrom(0, 0, 100)],
  ] as const) {
    test(`by ${how}: everything but EXTRA once, and after what it needs`, async () => {
      const file = readVector(`valid/${name}.exgs`);
      const receiver = quietReceiver();
      receiver.open(await readHead(file));
      receiver.look(view);
      const order = fetchAll(receiver, file);
      const { plan } = receiver;
      expect(new Set(order).size).toBe(order.length);
      const extra = [...plan!.table.rows()].filter(({ kind }) => kind === ChunkKind.EXTRA);
      expect(order.length).toBe(plan!.chunkCount + plan!.pages.length - extra.length);
      expect(extra.some(({ id }) => order.includes(id))).toBe(false);
      expect(receiver.scheduler!.missingBytes).toBe(extra.reduce((sum, row) => sum + row.packedBytes, 0));
      if (!view) {
        const offsets = order.map((part) => plan!.ref(part)!.offset);
        expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
      } else expectNeedsFirst(receiver, order);
    });
  }
});

/** Takes all parts as the scheduler gives them. */
function fetchAll(receiver: Receiver, file: Uint8Array): number[] {
  const scheduler = receiver.scheduler!;
  const order: number[] = [];
  for (let slice = scheduler.next(); slice; slice = scheduler.next()) {
    scheduler.record(slice);
    order.push(slice.part);
    if (isPage(slice.part)) {
      const page = receiver.plan!.pages[pageId(slice.part) - 1]!;
      receiver.addPage(page, file.subarray(page.offset, page.offset + page.packedBytes));
    }
  }
  return order;
}

test('a long flight hands out no more than the budget, and drops what it has handed out', async () => {
  const file = readVector('valid/jumps.exgs');
  const head = await readHead(file);
  const all = head.root.facts.layers.reduce((sum, { leaves, proxies }) => sum + leaves + proxies, 0);
  const budget = { splats: Math.ceil(0.6 * all), bytes: 1e12 };
  const receiver = quietReceiver({}, budget);
  receiver.open(head);
  const out = new Map<number, number>(); // part to splats
  const random = randomFrom(9);
  let [most, droppedParts] = [0, 0];
  for (let round = 0; round < 200; round++) {
    receiver.look(viewFrom(6 * random() - 3, 2 * random() - 1, -1 - 2 * random()));
    receiver.revise();
    for (let i = 0; i < 5; i++) {
      const slice = receiver.scheduler!.next();
      if (!slice) break;
      receiver.scheduler!.record(slice);
      const ref = receiver.plan!.ref(slice.part)!;
      const bytes = file.subarray(ref.offset, ref.offset + ref.packedBytes);
      if (isPage(slice.part)) receiver.addPage(receiver.plan!.pages[pageId(slice.part) - 1]!, bytes);
      else receiver.addChunk(receiver.plan!.table.row(slice.part)!, bytes);
    }
    const update = receiver.take();
    for (const key of update?.dropped ?? []) expect(out.delete(key)).toBe(true);
    for (const { key, count } of update?.added ?? []) out.set(key, count);
    droppedParts += update?.dropped.length ?? 0;
    most = Math.max(most, [...out.values()].reduce((sum, count) => sum + count, 0));
  }
  expect(most).toBeLessThanOrEqual(budget.splats);
  expect(most).toBeGreaterThan(budget.splats / 3);
  expect(droppedParts).toBeGreaterThan(20);
});

test('a chunk that always arrives damaged is given up, and named once the rest is there', async () => {
  const file = readVector('valid/jumps.exgs');
  const receiver = quietReceiver();
  const reader = new RangeReader(receiver);
  const front = reader.claim(0)!;
  const { posterEnd } = (await readHead(file)).header;
  await reader.take(0, file.subarray(0, posterEnd));
  reader.finish(front);
  let bad: ChunkRow | undefined;
  let asked = 0;
  for (let range = reader.claim(1); range; range = reader.claim(1)) {
    bad ??= [...receiver.plan!.table.rows()].find(({ layer, kind }) => layer === 1 && kind === ChunkKind.LEAF);
    const data = file.slice(range.start, range.end);
    if (bad && range.start <= bad.offset && bad.offset < range.end) {
      data[bad.offset - range.start]! ^= 1;
      asked++;
      expect(() => reader.checkLost()).not.toThrow();
    }
    await reader.take(range.start, data);
    reader.finish(range);
  }
  expect(asked).toBe(4);
  expect(() => reader.checkLost()).toThrow('hash');
  expect(receiver.has(bad!.id)).toBe(false);
  const others = [...receiver.plan!.table.rows()].filter(({ layer }) => layer <= 1 && layer !== 255);
  expect(others.filter(({ id }) => !receiver.has(id)).map(({ tile }) => tile)).toEqual([bad!.tile]);
});

function expectNeedsFirst(receiver: Receiver, order: readonly number[]): void {
  const { plan } = receiver;
  const { layers } = receiver.head!.root.facts;
  const places = new Map(order.map((part, place) => [part, place]));
  const geometry = (layer: number, tile: number): number[] =>
    plan!.table
      .cell(layer, tile)
      .filter(({ kind }) => kind === ChunkKind.LEAF || kind === ChunkKind.PROXY)
      .map(({ id }) => places.get(id)!);
  for (const row of plan!.table.rows()) {
    if (row.kind === ChunkKind.EXTRA || row.kind === ChunkKind.BASIS) continue;
    const place = places.get(row.id)!;
    if (row.page) expect(places.get(2 ** 31 + row.page)!).toBeLessThan(place);
    if ((row.kind === ChunkKind.SH && !plan!.table.isJoined(row.id)) || row.kind === ChunkKind.FINE) {
      for (const other of geometry(row.layer, row.tile)) expect(other).toBeLessThan(place);
    } else if (row.layer > 0) {
      const shift = layers[row.layer]!.level - layers[row.layer - 1]!.level;
      for (const other of geometry(row.layer - 1, row.tile >> shift)) expect(other).toBeLessThan(place);
    }
  }
}

test('the weight of a box is that of the points in it', () => {
  const random = randomFrom(8);
  const eye = eyeOf(viewFrom(0.2, -0.1, -2));
  for (let i = 0; i < 300; i++) {
    const low = [0, 1, 2].map(() => random() * 6 - 3) as [number, number, number];
    const high = low.map((value) => value + random()) as [number, number, number];
    const { coverage, around } = boxWeight({ low, high }, eye);
    expect(coverage).toBeGreaterThanOrEqual(0);
    expect(coverage).toBeLessThanOrEqual(1);
    expect(around).toBeGreaterThan(0);
    // Where a point of the box is seen, the box is.
    for (let k = 0; k < 20; k++) {
      const [x, y, z] = low.map((value, axis) => value + random() * (high[axis]! - value));
      const depth = z! + 2;
      if (depth < 0.05) continue;
      const column = ((x! - 0.2) / depth) * 50 + 48;
      const row = ((y! + 0.1) / depth) * 50 + 32;
      const isSeen = column > 0 && column < 96 && row > 0 && row < 64;
      if (isSeen) expect(coverage).toBeGreaterThan(0);
    }
  }
  expect(boxWeight({ low: [-1, -1, -3], high: [1, 1, -1] }, eye).coverage).toBe(1);
  expect(boxWeight({ low: [-1, -1, -9], high: [1, 1, -8] }, eye).coverage).toBe(0);
});

test('waiting gets longer while nothing comes, and ends', () => {
  const backoff = new Backoff();
  const lost = new ConnectionLostError('gone');
  const waits = Array.from({ length: 8 }, () => backoff.wait(lost, false, true));
  expect(waits).toEqual([0.25, 0.5, 1, 2, 4, 8, 15, null]);
  expect(new Backoff().wait(lost, true, true)).toBe(0.25);
  expect(new Backoff().wait(new ConnectionLostError('later', 7), true, true)).toBe(7);
  expect(new Backoff().wait(new ConnectionLostError('never', 700), true, true)).toBeNull();
  expect(new Backoff().wait(new StreamError('no'), true, true)).toBeNull();
  const begun = new Backoff();
  expect([1, 2, 3].map(() => begun.wait(lost, false, false))).toEqual([0.25, 0.5, null]);
  begun.reset();
  expect(begun.wait(lost, false, false)).toBe(0.25);
});

test('a throttle lets bytes through at its rate', () => {
  const throttle = new Throttle(1000);
  expect(throttle.delay(500, 10)).toBeCloseTo(0.5);
  expect(throttle.delay(500, 10)).toBeCloseTo(1);
  expect(throttle.delay(100, 20)).toBeCloseTo(0.1);
  expect(new Throttle(Infinity).delay(1e9, 0)).toBe(0);
});
