// Draws dumped scenes in Chromium and prints PSNR against the CPU rasterizer, and times.
//   node run.mjs FOLDER NAME[:float|fixed[:half|byte]] ...   (FOLDER as dump.py left it)
// Pictures go to FOLDER/drawn/. Exits with 1 below 50 dB (float target) or 45 dB (fixed), and where the
// GPU's memory is not given back once all is dropped.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, serve } from '../browser.mjs';

const LEAST_DB = { float: 50, fixed: 45 };
const PART_SPLATS = 4000;
const EMPTY_SHARE = 0.5; // of the bytes on the GPU, at most, that may be left without splats

const [folder, ...jobs] = process.argv.slice(2);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const server = await serve(root, path.resolve(folder));
fs.mkdirSync(path.join(folder, 'drawn'), { recursive: true });
let failed = 0;
for (const job of jobs) {
  const [name, target = 'float', precision = 'half'] = job.split(':');
  const { context, close } = await launch();
  const page = await context.newPage();
  page.on('console', (message) => {
    const expected = message.type() === 'debug' || message.text().includes('ReadPixels');
    if (!expected) console.error(`  ${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => console.error(`  ${error}`));
  await page.goto(`${server.url}/tests/pictures/index.html`);
  await page.waitForFunction(() => 'run' in window);
  const url = `/data/${name}`;
  const result = await page.evaluate((it) => window.run(it), { url, target, precision, partSplats: PART_SPLATS });
  const decibels = result.pictures.map((picture, view) => {
    fs.writeFileSync(
      path.join(folder, 'drawn', `${name}.${target}.${precision}.${view}.png`),
      Buffer.from(result.pngs[view].split(',')[1], 'base64'),
    );
    return psnr(Buffer.from(picture, 'base64'), path.join(folder, `${name}.${view}.f32`));
  });
  const { pictures, pngs, ...figures } = result;
  for (const [key, value] of Object.entries(figures)) {
    if (typeof value === 'number') figures[key] = Math.round(value * 10) / 10;
  }
  const frees = result.emptyGpuBytes < EMPTY_SHARE * result.gpuBytes;
  const verdict = decibels.every((value) => value >= LEAST_DB[target]) && result.error === 0 && frees;
  if (!verdict || result.target !== target) failed++;
  console.log(`${verdict ? 'ok  ' : 'FAIL'} ${job}: ${decibels.map((d) => d.toFixed(2)).join(' / ')} dB`);
  console.log('    ', JSON.stringify(figures));
  await close();
}
await server.close();
console.log(`${jobs.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);

/** PSNR of RGBA8 pixels against f32 RGB, which is held within 0..1. */
function psnr(pixels, file) {
  const bytes = fs.readFileSync(file);
  const reference = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  let sum = 0;
  for (let pixel = 0; pixel < reference.length / 3; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      const wanted = Math.min(1, Math.max(0, reference[3 * pixel + channel]));
      sum += (pixels[4 * pixel + channel] / 255 - wanted) ** 2;
    }
  }
  return -10 * Math.log10(sum / reference.length);
}
