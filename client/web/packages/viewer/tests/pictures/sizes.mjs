// How long made-up scenes of several sizes take to pack, to upload, to sort and to draw, in Chromium.
//   node sizes.mjs [COUNT ...]   (150000 500000 2000000 by default)

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, serve } from '../browser.mjs';

const PART_SPLATS = 4000;
const K = 3; // coefficients above degree 0

const counts = process.argv.slice(2).map(Number);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'exgs-sizes-'));
const server = await serve(root, folder);
const { context, close } = await launch();
for (const count of counts.length > 0 ? counts : [150_000, 500_000, 2_000_000]) {
  fs.writeFileSync(path.join(folder, `${count}.bin`), scene(count));
  fs.writeFileSync(path.join(folder, `${count}.json`), JSON.stringify({ antialiased: false, views: [view()] }));
  const page = await context.newPage();
  await page.goto(`${server.url}/tests/pictures/index.html`);
  await page.waitForFunction(() => 'run' in window);
  const job = { url: `/data/${count}`, target: 'float', precision: count < 2e6 ? 'half' : 'byte', partSplats: PART_SPLATS };
  const { pictures, pngs, ...figures } = await page.evaluate((it) => window.run(it), job);
  for (const [key, value] of Object.entries(figures)) {
    if (typeof value === 'number') figures[key] = Math.round(value * 10) / 10;
  }
  console.log(count, JSON.stringify(figures));
  await page.close();
}
await close();
await server.close();
fs.rmSync(folder, { recursive: true });

/** Splats in a ball, as dump.py writes them. */
function scene(count) {
  let state = 1;
  const next = () => (state = (state * 48271) % 2147483647) / 2147483647;
  const normal = () => Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next());
  const bytes = new ArrayBuffer(8 + 4 * count * (14 + 3 * K));
  new Uint32Array(bytes, 0, 2).set([count, K]);
  let offset = 8;
  for (const [values, make] of [[3, normal], [4, normal], [3, () => 0.02 * Math.exp(normal() - 1)], [1, next], [3, normal], [3 * K, () => 0.2 * normal()]]) {
    const array = new Float32Array(bytes, offset, values * count).map(make);
    if (values === 4) {
      for (let i = 0; i < array.length; i += 4) {
        const size = Math.hypot(...array.subarray(i, i + 4));
        for (let j = i; j < i + 4; j++) array[j] /= size;
      }
    }
    new Float32Array(bytes, offset, values * count).set(array);
    offset += array.byteLength;
  }
  return Buffer.from(bytes);
}

function view() {
  return { viewmat: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 5, 0, 0, 0, 1], K: [400, 0, 320, 0, 400, 180, 0, 0, 1], width: 640, height: 360 };
}
