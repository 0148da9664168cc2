// The main thread's tasks over 50 ms while a scene loads, by the clock and in CPU time, which other
// processes don't change, and what the page holds then: node tasks.mjs FILE.exgs [BUDGET=4000000]

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { serve } from '../browser.mjs';
import { launchBare } from '../devtools.mjs';
import { heldBy } from '../memory.mjs';

const LONG_US = 50_000;

const [file, budget = '4000000'] = process.argv.slice(2);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const server = await serve(root, path.resolve(path.dirname(file)));
const { page, profile, close } = await launchBare();
await page.goto(`${server.url}/tests/flight/index.html`, () => 'fly' in window);
const events = [];
page.on('Tracing.dataCollected', ({ value }) => events.push(...value));
const over = new Promise((resolve) => page.on('Tracing.tracingComplete', resolve));
await page.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: ['toplevel', 'disabled-by-default-devtools.timeline', 'devtools.timeline', '__metadata'] } });
const job = { url: `/data/${path.basename(file)}`, budget: Number(budget), rate: 20e6 / 8, seed: 7 };
const loading = await page.evaluate((it) => window.open_(it), job);
await page.send('Tracing.end');
await over;
const held = await heldBy(page, profile);
await close();
await server.close();

const names = events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain');
const isMain = ({ pid, tid }) => names.some((other) => other.pid === pid && other.tid === tid);
const tasks = events.filter((event) => event.name === 'RunTask' && event.ph === 'X' && isMain(event));
const long = tasks.filter(({ dur }) => dur > LONG_US);
const ms = (value) => Math.round(value / 1000);
console.log(`${path.basename(file)}: first picture ${loading.firstPictureS.toFixed(1)} s, sharp ${loading.readyS.toFixed(1)} s, ${tasks.length} tasks`);
console.log(`  over 50 ms by the clock: ${long.map(({ dur }) => ms(dur)).join(' ') || 'none'}`);
const inCpu = tasks.filter(({ tdur }) => tdur > LONG_US);
console.log(`  over 50 ms of CPU time: ${inCpu.map(({ tdur }) => ms(tdur)).join(' ') || 'none'}; the longest ${ms(Math.max(...tasks.map(({ tdur = 0 }) => tdur)))} ms`);
const mega = (key) => `${(held[key] / 1e6).toFixed(0)} MB`;
console.log(`  held after a collection: objects ${mega('heapBytes')}, array buffers ${mega('arrayBytes')};` +
  ` resident: renderer ${mega('rendererBytes')}, GPU process ${mega('gpuProcessBytes')}`);
