// Time from navigation to the poster and to the first picture over a slow link, everything counted:
// connections, page, code, scene. With every request's times, from which the round trips can be read.
//
//   node first_picture.mjs FILE.exgs [--runs 5] [--mbit 2] [--delay 100] [--width 480] [--height 270] [--again]
//
// Each run has a browser of its own with nothing in its cache; with --again the page is opened twice, and the
// second visit is measured, whose code comes from the cache.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { openLink } from './link.mjs';

const REPOSITORY = path.resolve(import.meta.dirname, '../..');
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const MARKS = ['first-contentful-paint', 'exgs:start', 'exgs:open', 'exgs:firstpicture'];
const PATIENCE_MS = 60_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '5' },
    mbit: { type: 'string', default: '2' },
    delay: { type: 'string', default: '100' },
    width: { type: 'string', default: '480' },
    height: { type: 'string', default: '270' },
    again: { type: 'boolean', default: false },
  },
});
const file = path.resolve(positionals[0]);
const server = await serveExgs(file);
const runs = [];
for (let run = 0; run < Number(values.runs); run++) {
  const measured = await visit();
  runs.push(measured);
  console.log(MARKS.map((mark) => `${mark.replace('exgs:', '')} ${Math.round(measured.marks[mark])}`).join(' · '), `ms, load ${os.loadavg()[0].toFixed(1)}`);
}
server.close();

const quickest = runs.reduce((a, b) => (a.marks['exgs:firstpicture'] <= b.marks['exgs:firstpicture'] ? a : b));
console.log('\nmedian, quickest, ms');
for (const mark of MARKS) {
  const times = runs.map(({ marks }) => marks[mark]).sort((a, b) => a - b);
  console.log(`  ${mark.padEnd(24)} ${Math.round(times[times.length >> 1])}, ${Math.round(times[0])}`);
}
console.log('\nrequests of the quickest run: asked, first byte, last byte (ms), bytes');
for (const { name, asked, first, last, bytes } of quickest.requests) {
  console.log(`  ${name.padEnd(28)} ${[asked, first, last].map((ms) => String(Math.round(ms)).padStart(6)).join('')} ${String(bytes).padStart(8)}`);
}
console.log(`connections: ${quickest.connections}; bytes on the link until the first picture: ${quickest.bytes}`);

/** One navigation in a browser of its own. */
async function visit() {
  const link = await openLink(server.port, { mbit: Number(values.mbit), delayMs: Number(values.delay) });
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'exgs-bench-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    viewport: { width: Number(values.width), height: Number(values.height) },
    deviceScaleFactor: 1,
    args: FLAGS,
  });
  const page = context.pages()[0];
  const address = `http://127.0.0.1:${link.port}/scenes/${path.basename(file, '.exgs')}/`;
  for (let visits = values.again ? 2 : 1; visits > 0; visits--) {
    await page.goto('about:blank');
    await page.goto(address, { waitUntil: 'commit' });
    await page.waitForFunction(() => performance.getEntriesByName('exgs:firstpicture').length > 0, undefined, { timeout: PATIENCE_MS, polling: 20 });
  }
  const { sentBytes: bytes, connections } = link;
  const measured = await page.evaluate((names) => ({
    marks: Object.fromEntries(names.map((name) => [name, performance.getEntriesByName(name)[0]?.startTime ?? NaN])),
    requests: [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].map((entry) => ({
      name: entry.entryType === 'navigation' ? 'page' : new URL(entry.name).pathname.split('/').at(-1),
      asked: entry.entryType === 'navigation' ? 0 : entry.startTime,
      first: entry.responseStart,
      last: entry.responseEnd,
      bytes: entry.transferSize,
    })),
  }), MARKS);
  await context.close();
  fs.rmSync(profile, { recursive: true, force: true });
  await link.close();
  return { ...measured, bytes, connections };
}

async function serveExgs(scene) {
  const python = process.env.EXGS_PYTHON ?? path.join(REPOSITORY, '.venv/bin/python');
  const words = ['-m', 'exgs.cli.main', 'serve', path.dirname(scene), '--port', '0', '-q'];
  const child = spawn(python, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = await new Promise((resolve) => child.stdout.once('data', (data) => resolve([String(data)])));
  return { port: Number(/:(\d+)\/scenes/.exec(said)[1]), close: () => child.kill() };
}
