import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Loop } from '../src/element/loop.ts';

let next: ((nowMs: number) => void) | null = null;

beforeEach(() => {
  vi.stubGlobal('requestAnimationFrame', (run: (nowMs: number) => void) => {
    next = run;
    return 1;
  });
  vi.stubGlobal('cancelAnimationFrame', () => (next = null));
});
afterEach(() => vi.unstubAllGlobals());

test('the time of a frame is that between frames on the canvas, and not between ticks', () => {
  let ticks = 0;
  const loop = new Loop(() => ({ drew: ++ticks % 10 === 0, again: ticks < 100 }));
  loop.request();
  for (let nowMs = 0; ticks < 95; nowMs += 50) next!(nowMs);
  expect(loop.frameMs).toBeCloseTo(500);
});

test('a rest is no frame time', () => {
  let isMoving = true;
  const loop = new Loop(() => ({ drew: true, again: isMoving }));
  const run = (fromMs: number): void => {
    loop.request();
    for (let i = 0; i < 5; i++) next!(fromMs + 20 * i);
  };
  run(0);
  expect(loop.frameMs).toBeCloseTo(20);
  isMoving = false;
  next!(100);
  expect(loop.frameMs).toBe(0);
  isMoving = true;
  run(60_000);
  expect(loop.frameMs).toBeCloseTo(20);
});
