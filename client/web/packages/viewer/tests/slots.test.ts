import { describe, expect, test } from 'vitest';
import { rows } from '../src/gl/store.ts';
import { FreeList } from '../src/splats/free_list.ts';
import { BLOCK_SLOTS, GRAIN, ROW_SLOTS, type Span } from '../src/splats/layout.ts';
import { Slots } from '../src/splats/slots.ts';
import { random } from './random.ts';

describe('free list', () => {
  test('never hands out a number twice and gets all back', () => {
    const next = random(8);
    const list = new FreeList(1000);
    const owner = new Array<number>(1000).fill(-1);
    const taken: { start: number; count: number }[] = [];
    for (let round = 0; round < 3000; round++) {
      if (next() < 0.55) {
        const count = 1 + Math.floor(40 * next());
        const start = list.take(count);
        if (start < 0) {
          const longest = Math.max(...owner.join('').replaceAll('-1', ' ').match(/ +/g)?.map((s) => s.length) ?? [0]);
          expect(longest).toBeLessThan(count);
          continue;
        }
        for (let i = start; i < start + count; i++) {
          expect(owner[i]).toBe(-1);
          owner[i] = 1;
        }
        taken.push({ start, count });
      } else if (taken.length > 0) {
        const [{ start, count }] = taken.splice(Math.floor(next() * taken.length), 1) as [{ start: number; count: number }];
        owner.fill(-1, start, start + count);
        list.give(start, count);
      }
      expect(list.free).toBe(owner.filter((o) => o === -1).length);
      expect(list.end).toBe(owner.lastIndexOf(1) + 1);
    }
    for (const { start, count } of taken) list.give(start, count);
    expect(list.take(1000)).toBe(0);
  });

  test('grows at its end', () => {
    const list = new FreeList(0);
    expect(list.take(1)).toBe(-1);
    list.grow(10);
    expect(list.take(10)).toBe(0);
    list.grow(30);
    expect(list.take(20)).toBe(10);
  });
});

describe('slots', () => {
  test('a part gets one run where there is one', () => {
    const slots = new Slots(2);
    expect(slots.take(100)).toEqual([{ start: 0, count: 100 }]);
    expect(slots.take(1)).toEqual([{ start: 2 * GRAIN, count: 1 }]);
    expect(slots.blocks).toBe(1);
    expect(slots.rows(0)).toBe(1);
  });

  test('what fits in no block takes several', () => {
    const slots = new Slots(3);
    const spans = slots.take(2 * BLOCK_SLOTS + 5)!;
    expect(spans.map((span) => span.count)).toEqual([BLOCK_SLOTS, BLOCK_SLOTS, 5]);
    expect(slots.blocks).toBe(3);
  });

  test('crumbs are used once nothing else is left, and all comes back', () => {
    const slots = new Slots(1);
    const parts = Array.from({ length: BLOCK_SLOTS / GRAIN }, () => slots.take(GRAIN)!);
    expect(slots.take(1)).toBeNull();
    parts.filter((_, i) => i % 2 === 0).forEach((spans) => slots.give(spans));
    const spans = slots.take(3 * GRAIN - 1)!;
    expect(spans.map((span) => span.count)).toEqual([GRAIN, GRAIN, GRAIN - 1]);
    expect(slots.take(BLOCK_SLOTS)).toBeNull();
    slots.give(spans);
    parts.filter((_, i) => i % 2 === 1).forEach((more) => slots.give(more));
    expect(slots.take(BLOCK_SLOTS)).toEqual([{ start: 0, count: BLOCK_SLOTS }]);
  });

  test('parts that come and go take little more room than they fill', () => {
    const next = random(3);
    const slots = new Slots(64);
    const parts: { spans: Span[]; count: number }[] = [];
    let held = 0;
    for (let round = 0; round < 4000; round++) {
      while (held > 5 * BLOCK_SLOTS) {
        const [part] = parts.splice(Math.floor(next() * parts.length), 1);
        slots.give(part!.spans);
        held -= part!.count;
      }
      const count = 200 + Math.floor(next() * 8000);
      parts.push({ spans: slots.take(count)!, count });
      held += count;
    }
    expect(slots.blocks).toBeLessThanOrEqual(7);
  });

  test('after a peak, blocks become empty as parts come and go', () => {
    const next = random(4);
    const slots = new Slots(64);
    const parts: Span[][] = [];
    for (let i = 0; i < 400; i++) parts.push(slots.take(4000)!);
    const most = slots.blocks;
    for (let round = 0; round < 2000; round++) {
      const leaving = parts.length > 120 ? 2 : 1;
      for (let i = 0; i < leaving; i++) slots.give(parts.splice(Math.floor(next() * parts.length), 1)[0]!);
      parts.push(slots.take(1000 + Math.floor(next() * 6000))!);
    }
    const used = Array.from({ length: slots.blocks }, (_, block) => slots.rows(block)).filter((rows) => rows > 0);
    expect(most).toBeGreaterThan(11);
    expect(used.length).toBeLessThanOrEqual(5);
  });

  test('a take that fails leaves nothing taken', () => {
    const slots = new Slots(1);
    slots.take(GRAIN);
    expect(slots.take(BLOCK_SLOTS)).toBeNull();
    expect(slots.take(BLOCK_SLOTS - GRAIN)).not.toBeNull();
  });
});

test('rectangles cover a run of slots once', () => {
  const next = random(9);
  for (let round = 0; round < 200; round++) {
    const slot = Math.floor(next() * 3 * ROW_SLOTS);
    const count = 1 + Math.floor(next() * 4 * ROW_SLOTS);
    const seen: number[] = [];
    let rectangles = 0;
    rows(slot, count, (x, y, width, height, first) => {
      expect(first).toBe(seen.length);
      expect(x + width).toBeLessThanOrEqual(ROW_SLOTS);
      for (let i = 0; i < width * height; i++) {
        seen.push((y + Math.floor(i / width)) * ROW_SLOTS + x + (i % width));
      }
      rectangles++;
    });
    expect(seen).toEqual(Array.from({ length: count }, (_, i) => slot + i));
    expect(rectangles).toBeLessThanOrEqual(3);
  }
});
