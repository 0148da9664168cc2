// The parts of the page that need no browser.

import { expect, test } from 'vitest';
import { encodeHint } from '../src/encode_hint.ts';
import { cameraOf, hashOf, readParameters } from '../src/parameters.ts';
import { estimatedPsnr } from '../src/quality.ts';
import { RateMeter } from '../src/rate.ts';
import { entryOf } from '../src/recorder.ts';
import { formatBytes, formatFrames, formatRate } from '../src/text.ts';

test('parameters are read as people write them', () => {
  expect(readParameters('?noui&budget=1.5&rate=2&ministats=0')).toMatchObject({
    plain: true,
    budget: 1_500_000,
    rate: 250_000,
    ministats: false,
    transport: 'auto',
  });
  expect(readParameters('?budget=250000').budget).toBe(250_000);
  expect(readParameters('?budget=-1&rate=x&transport=carrier')).toMatchObject({
    budget: null,
    rate: null,
    transport: 'auto',
  });
});

test('a camera goes into the hash and comes back', () => {
  expect(cameraOf(hashOf('1,2,-3.5,0,0,0,10,20,50'))).toBe('1,2,-3.5,0,0,0,10,20,50');
  expect(cameraOf('#elsewhere')).toBe('');
});

test('quality is read off the table between its points', () => {
  const points = [
    { bytes: 10_000, psnr: 20, ssim: 0.6 },
    { bytes: 1_000_000, psnr: 30, ssim: 0.9 },
  ];
  expect(estimatedPsnr(points, 9_999)).toBeNull();
  expect(estimatedPsnr(points, 100_000)).toBeCloseTo(25);
  expect(estimatedPsnr(points, 5_000_000)).toBe(30);
  expect(estimatedPsnr([], 1)).toBeNull();
});

test('the rate is that of the last two seconds', () => {
  const meter = new RateMeter();
  for (let ms = 0; ms <= 10_000; ms += 100) meter.add(ms, ms < 5000 ? 0 : 100 * (ms - 5000));
  expect(meter.rate(10_000)).toBeCloseTo(100_000, -3);
  expect(meter.rate(20_000)).toBe(0);
});

test.each([
  ['room.exgs', null],
  ['ROOM.EXGS', null],
  ['room.ply', 'exgs encode room.ply room.exgs'],
  ['room.compressed.ply', 'exgs encode room.compressed.ply room.exgs'],
  ["it's.spz", "exgs encode 'it'\\''s.spz' 'it'\\''s.exgs'"],
  ['photo.png', ''],
])('%s is told how to be encoded', (name, command) => {
  expect(encodeHint(name)?.command ?? null).toBe(command);
});

test('a view becomes a camera that trainers read, in the frame of the source', () => {
  // At (1, 2, 3), turned by 90 degrees about y: it looks along x.
  const viewmat = Float64Array.of(0, 0, -1, 3, 0, 1, 0, -2, 1, 0, 0, -1, 0, 0, 0, 1);
  const K = Float64Array.of(500, 0, 320, 0, 510, 180, 0, 0, 1);
  const entry = entryOf({ viewmat, K, width: 640, height: 360 }, 7, [1000, 0, 0]);
  expect(entry.position).toEqual([1001, 2, 3]);
  expect(entry.rotation).toEqual([[0, 0, 1], [0, 1, 0], [-1, 0, 0]]);
  expect(entry).toMatchObject({ id: 7, img_name: '00007', fx: 500, fy: 510, cx: 320, cy: 180 });
});

test('numbers are for people', () => {
  expect(formatBytes(1_457_878)).toBe('1.46 MB');
  expect(formatBytes(999)).toBe('999 bytes');
  expect(formatRate(250_000)).toBe('2 Mbit/s');
  expect(formatRate(32_000)).toBe('256 kbit/s');
  expect([1000 / 60, 2000].map(formatFrames)).toEqual(['60', '0.5']);
});
