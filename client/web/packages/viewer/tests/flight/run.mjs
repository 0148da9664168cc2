// Flies through a scene in Chromium with a budget of splats and prints what that takes.
//   node run.mjs FILE.exgs [MINUTES=5] [BUDGET=1000000] [MBIT_PER_S=20] [OUT.json]
// Exits with 1 after an exception, or where memory grows from the second third of the flight to the last:
// JavaScript objects, array buffers, or either process.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { serve } from '../browser.mjs';
import { launchBare } from '../devtools.mjs';
import { heldBy, HELD } from '../memory.mjs';

const GROWTH = 1.15; // of the median, at most

const [file, minutes = '5', budget = '1000000', mbit = '20', out] = process.argv.slice(2);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const server = await serve(root, path.resolve(path.dirname(file)));
const { page, profile, close } = await launchBare();
await page.goto(`${server.url}/tests/flight/index.html`, () => 'fly' in window);

const job = {
  url: `/data/${path.basename(file)}`,
  budget: Number(budget),
  rate: (Number(mbit) * 1e6) / 8,
  seed: 7,
};
const loading = await page.evaluate((it) => window.open_(it), job);
console.log(`first picture ${loading.firstPictureS.toFixed(1)} s, first view sharp ${loading.readyS.toFixed(1)} s,` +
  ` tasks over 50 ms: ${loading.longTasksMs.join(' ') || 'none'}`);
console.log(`flight within ${JSON.stringify(await page.evaluate(() => window.ball()))}`);
const legs = [];
const began = performance.now();
while (performance.now() - began < Number(minutes) * 60_000) {
  const leg = await page.evaluate(() => window.fly());
  leg.atS = (performance.now() - began) / 1000;
  Object.assign(leg, await heldBy(page, profile));
  legs.push(leg);
  console.log(JSON.stringify(leg));
  if (leg.errors.length > 0) break;
}
await close();
await server.close();

const sum = (key) => legs.reduce((total, leg) => total + leg[key], 0);
const column = (key) => legs.map((leg) => leg[key]).filter((value) => value !== null);
const third = Math.floor(legs.length / 3);
const growth = (key) => median(legs.slice(-third).map((leg) => leg[key])) / median(legs.slice(third, -third).map((leg) => leg[key]));
const summary = {
  file: path.basename(file),
  minutes: Number(minutes),
  budget: job.budget,
  mbitPerS: Number(mbit),
  ...loading,
  legs: legs.length,
  frames: sum('frames'),
  framesPerS: sum('frames') / sum('flightS'),
  splats: { median: median(column('splats')), most: Math.max(...column('splats')) },
  held: { median: median(column('held')), most: Math.max(...column('held')) },
  receivedBytes: legs.at(-1)?.receivedBytes,
  gpuBytes: { median: median(column('gpuBytes')), most: Math.max(...column('gpuBytes')) },
  arrivedS: { median: median(column('arrivedS')), most: Math.max(...column('arrivedS')) },
  sharpS: { median: median(column('sharpS')), most: Math.max(...column('sharpS')), missed: legs.length - column('sharpS').length },
  ...Object.fromEntries(HELD.map((key) => [key, range(key)])),
  longTasksMs: { count: legs.flatMap((leg) => leg.longTasksMs).length, most: Math.max(0, ...legs.flatMap((leg) => leg.longTasksMs)) },
  errors: [...page.messages, ...(legs.at(-1)?.errors ?? [])],
};
console.log(JSON.stringify(summary, null, 2));
if (out) fs.writeFileSync(out, JSON.stringify({ summary, legs }, null, 1));
const growths = HELD.map((key) => [key, growth(key)]);
const isFlat = growths.every(([, factor]) => factor < GROWTH);
console.log(`${isFlat ? 'ok  ' : 'FAIL'} memory, in times of the middle third: ${growths.map(([key, factor]) => `${key} ${factor.toFixed(2)}`).join(', ')}`);
table();
console.log(`${summary.errors.length === 0 ? 'ok  ' : 'FAIL'} no exception and no message`, summary.errors.join('\n'));
process.exit(isFlat && summary.errors.length === 0 ? 0 : 1);

/** What a leg at each minute's end has found. */
function table() {
  console.log('| minute | frames | splats | received MB | to sharp, s | heap MB | arrays MB | textures MB | renderer MB | GPU process MB |');
  console.log('|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|');
  const mega = (bytes) => (bytes / 1e6).toFixed(1);
  for (let minute = 1; minute * 60 <= legs.at(-1).atS + 30; minute++) {
    const within = legs.filter(({ atS }) => Math.ceil(atS / 60) === minute);
    const last = within.at(-1);
    if (!last) continue;
    const frames = within.reduce((total, leg) => total + leg.frames, 0);
    const sharp = median(within.map(({ sharpS }) => sharpS ?? Infinity));
    console.log(`| ${[minute, frames, last.splats, mega(last.receivedBytes), sharp.toFixed(1), ...[last.heapBytes, last.arrayBytes, last.gpuBytes, last.rendererBytes, last.gpuProcessBytes].map(mega)].join(' | ')} |`);
  }
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;
}

/** What is held at first (the first third), and at the end. */
function range(key) {
  return { first: median(legs.slice(0, third).map((leg) => leg[key])), last: median(legs.slice(-third).map((leg) => leg[key])) };
}
