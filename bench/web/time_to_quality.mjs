// Time to the first picture and to 25 and 30 dB over a slow link, for one scene as .exgs in this viewer, as
// SPZ in Spark and as streamed SOG in PlayCanvas, with the same link, camera and size.
//
//   npm ci --ignore-scripts && npx vite build
//   npx splat-transform --spz-version 3 scene.ply scene.spz      # Spark reads no version 4
//   node time_to_quality.mjs --out OUT --exgs scene.exgs [--spz scene.spz] [--sog FOLDER] [--limit SECONDS] [--only NAME] [--size 320x180]
//   python report.py OUT
//
// Takes a screenshot again and again and notes when, and how many bytes had come. `report.py` compares each
// with the last one of the same viewer: its own complete picture.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { openLink } from './link.mjs';
import { serveSite } from './site.mjs';

const LINK = { mbit: 2, delayMs: 100 };
const REPOSITORY = path.resolve(import.meta.dirname, '../..');
const CALM_MS = { exgs: 4000, spark: 30_000, playcanvas: 15_000 }; // of no change, once all is loaded: drawing by software is slow
const LOADED = { exgs: 'exgs:complete', spark: 'loaded', playcanvas: 'loaded' };
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

const { values } = parseArgs({
  options: { out: { type: 'string' }, exgs: { type: 'string' }, spz: { type: 'string' }, sog: { type: 'string' }, limit: { type: 'string', default: '240' }, only: { type: 'string' }, size: { type: 'string', default: '320x180' } },
});
// Small, since drawing is by software: the link should be the bottleneck
const [width, height] = values.size.split('x').map(Number);
const SIZE = { width, height };
const limitMs = 1000 * Number(values.limit);
const pages = path.join(import.meta.dirname, 'dist');
if ((values.spz || values.sog) && !fs.existsSync(path.join(pages, 'spark.html'))) {
  console.error(`${pages} is missing: run npx vite build first`);
  process.exit(1);
}
fs.mkdirSync(values.out, { recursive: true });

const python = process.env.EXGS_PYTHON ?? path.join(REPOSITORY, '.venv/bin/python');
const scene = path.basename(values.exgs, '.exgs');
const exgs = await serveExgs(path.resolve(values.exgs));
const camera = await cameraOfScene();
const spark = values.spz && (await serveSite({ '/': pages, '/data/': path.dirname(path.resolve(values.spz)) }));
const playcanvas = values.sog && (await serveSite({ '/': pages, '/data/': path.resolve(values.sog) }));
const runs = [['exgs', exgs.port, `/scenes/${scene}/?noui`]];
if (spark) runs.push(['spark', spark.port, `/spark.html?content=data/${path.basename(values.spz)}&camera=${camera}`]);
if (playcanvas) runs.push(['playcanvas', playcanvas.port, `/playcanvas.html?content=data/lod-meta.json&camera=${camera}`]);
for (const [name, port, address] of runs) if ((values.only ?? name) === name) await run(name, port, address);
exgs.close();
spark?.close?.();
playcanvas?.close?.();
process.exit(0);

async function run(name, port, address) {
  const folder = path.join(values.out, name);
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const link = await openLink(port, LINK);
  const { page, close } = await browser();
  const log = [];
  const origin = `http://127.0.0.1:${link.port}`;
  const beganMs = performance.now();
  await page.goto(`${origin}${address}`, { waitUntil: 'commit' });
  let [changedMs, last, bytes] = [performance.now(), null, 0];
  while (performance.now() - beganMs < limitMs) {
    const askedMs = performance.now();
    const sent = link.sentBytes;
    const shot = await page.screenshot({ timeout: limitMs }).catch((error) => {
      console.error(`${name}: ${error.message}`);
      return null;
    });
    const now = performance.now();
    if (!shot) break;
    if (!last?.equals(shot)) {
      const file = `${log.length}.png`;
      fs.writeFileSync(path.join(folder, file), shot);
      log.push({ ms: now - beganMs, bytes: sent, file });
      changedMs = now;
    }
    if (sent !== bytes) changedMs = now;
    [last, bytes] = [shot, sent];
    if (now - changedMs > CALM_MS[name] && link.sentBytes === sent) {
      const isLoaded = await page.evaluate((mark) => performance.getEntriesByName(mark).length > 0, LOADED[name]);
      if (isLoaded) break;
    }
    await page.waitForTimeout(Math.max(0, 250 - (performance.now() - askedMs)));
  }
  const resources = await page.evaluate(() => [
    ...performance.getEntriesByType('navigation').map(({ encodedBodySize }) => ({ name: 'page.html', bytes: encodedBodySize })),
    ...performance.getEntriesByType('resource').map(({ name, encodedBodySize }) => ({ name, bytes: encodedBodySize })),
    ...performance.getEntriesByType('mark').map(({ name, startTime }) => ({ name: `mark:${name}`, ms: startTime })),
  ]);
  const measured = { name, scene, link: LINK, size: SIZE, log, resources, bytes: link.sentBytes };
  fs.writeFileSync(path.join(folder, 'log.json'), JSON.stringify(measured, null, 1));
  console.log(`${name}: ${log.length} pictures, ${link.sentBytes} bytes, ${((performance.now() - beganMs) / 1000).toFixed(1)} s`);
  await close();
  await link.close();
}

/** The camera that the scene begins with, as `ex,ey,ez,tx,ty,tz,fov`. */
async function cameraOfScene() {
  const { page, close } = await browser();
  await page.goto(`http://127.0.0.1:${exgs.port}/scenes/${scene}/?noui`);
  await page.waitForFunction(() => document.querySelector('exgs-viewer')?.camera, undefined, { timeout: 60_000 });
  const [ex, ey, ez, tx, ty, tz, , , fov] = (await page.evaluate(() => document.querySelector('exgs-viewer').camera)).split(',');
  await close();
  return [ex, ey, ez, tx, ty, tz, fov].join(',');
}

async function browser() {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'exgs-bench-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    viewport: SIZE,
    deviceScaleFactor: 1,
    args: FLAGS,
  });
  const close = async () => {
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
  };
  return { page: context.pages()[0], close };
}

async function serveExgs(file) {
  const words = ['-m', 'exgs.cli.main', 'serve', path.dirname(file), '--port', '0', '-q'];
  const child = spawn(python, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = await new Promise((resolve) => child.stdout.once('data', (data) => resolve([String(data)])));
  return { port: Number(/:(\d+)\/scenes/.exec(said)[1]), close: () => child.kill() };
}
