// The picture in the browser against the CPU rasterizer, at the same camera and the same bytes.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Browser, findChromium, reached, settled, SMALL, type Viewer } from './support/browser.ts';
import { missing, outFolder, REAL, realScene, SAMPLE, scenesFolder } from './support/scenes.ts';
import { PYTHON, serveExgs, serveFront, type Running } from './support/servers.ts';

const FRONTS = [64_000, 300_000, Infinity];
const SIDE = [0.45, 0.1]; // of the way to the focus, to the right and down: a second view

describe.skipIf(!findChromium())('pictures', () => {
  let server: Running;
  let browser: Browser;

  beforeAll(async () => {
    server = await serveExgs(scenesFolder());
    browser = await Browser.launch({ viewport: SMALL });
  });
  afterAll(async () => {
    await browser.close();
    await server.stop();
  });

  /** Holds what the page shows of the first bytes of a file, in two views, against the CPU rasterizer. */
  const measure = async (file: string, fronts: readonly number[], target: string): Promise<number[]> => {
    const name = path.basename(file, '.exgs');
    const pairs = [];
    for (const bytes of fronts) {
      const front = await serveFront(file, bytes);
      const { page } = browser;
      await page.goto('about:blank');
      await page.goto(`${server.url}/?noui&target=${target}&content=${front.url}/${name}.exgs`);
      await reached(page, 'firstpicture');
      for (const view of [0, 1]) {
        if (view === 1) await page.evaluate(lookAside, SIDE);
        await settled(page);
        const shown = await page.evaluate(snapshot);
        expect(shown.target).toBe(target);
        const picture = path.join(outFolder(), `${name}-${target}-${bytes}-${view}.png`);
        fs.writeFileSync(picture, Buffer.from(shown.png, 'base64'));
        const length = Math.min(bytes, fs.statSync(file).size);
        pairs.push({ file, bytes: length, view: shown.view, picture });
      }
      await front.stop();
    }
    const psnr = compare(pairs);
    console.log(`${name}, ${target}: ${psnr.join(', ')} dB`);
    return psnr;
  };

  test.each([
    ['float', FRONTS, 50],
    ['fixed', FRONTS.slice(0, 1), 45],
  ])('are those of the CPU rasterizer with a %s target', async (target, fronts, least) => {
    for (const value of await measure(SAMPLE, fronts, target)) expect(value).toBeGreaterThan(least);
  });

  test('at rest are sharpened as by --painter sharpen where that is switched on', async () => {
    const bytes = 64_000;
    const front = await serveFront(SAMPLE, bytes);
    const own = await Browser.launch({ viewport: SMALL }); // that has kept nothing of the whole scene
    const { page } = own;
    const pairs = [];
    for (const query of ['noui', 'noui&sharpen']) {
      await page.goto('about:blank');
      await page.goto(`${server.url}/?${query}&content=${front.url}/${path.basename(SAMPLE)}`);
      await reached(page, 'firstpicture');
      if (query.endsWith('sharpen')) await page.waitForFunction(hasSharpenCode);
      await settled(page);
      const shown = await page.evaluate(snapshot);
      const picture = path.join(outFolder(), `${query}.png`);
      fs.writeFileSync(picture, Buffer.from(shown.png, 'base64'));
      pairs.push({ file: SAMPLE, bytes, view: shown.view, picture, sharpen: true });
    }
    await own.close();
    await front.stop();
    const [raw = 0, sharp = 0] = compare(pairs);
    console.log(`sample, sharpened: ${sharp} dB, raw ${raw} dB`);
    expect(sharp).toBeGreaterThan(45);
    expect(sharp).toBeGreaterThan(raw + 6);
  });

  test.for(REAL)('are those of the CPU rasterizer for %s', async (name, { skip }) => {
    const file = realScene(name);
    if (!file) skip(missing(name));
    for (const value of await measure(file!, FRONTS, 'float')) expect(value).toBeGreaterThan(50);
    for (const value of await measure(file!, FRONTS.slice(0, 1), 'fixed')) expect(value).toBeGreaterThan(45);
  });
});

/** PSNR of pictures against the CPU rasterizer. */
function compare(pairs: readonly object[]): number[] {
  const script = path.join(import.meta.dirname, 'support/compare.py');
  return JSON.parse(execFileSync(PYTHON, [script], { input: JSON.stringify(pairs), encoding: 'utf8' }));
}

/** Whether the code for sharpening has been loaded. */
function hasSharpenCode(): boolean {
  return performance.getEntriesByType('resource').some(({ name }) => name.includes('/assets/sharpen-'));
}

/** Turns the camera of the page's viewer aside. */
function lookAside([right, down]: number[]): void {
  const viewer = document.querySelector('exgs-viewer') as unknown as Viewer;
  const values = viewer.camera.split(',').map(Number);
  const [x = 0, y = 0, z = 0, fx = 0, fy = 0, fz = 0] = values;
  const shift = [right! * (fz - z), down! * Math.hypot(fx - x, fz - z), -right! * (fx - x)];
  const eye = [x + shift[0]!, y + shift[1]!, z + shift[2]!];
  viewer.look([...eye, fx, fy, fz, values[8]].join(','));
}

/** What the page's viewer shows. */
async function snapshot(): Promise<{ png: string; target: string; view: object }> {
  const viewer = document.querySelector('exgs-viewer') as unknown as Viewer;
  const blob = await viewer.snapshot();
  const url = await new Promise<string>((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.readAsDataURL(blob);
  });
  const { viewmat, K, width, height } = viewer.view!;
  const view = { viewmat: [...viewmat], K: [...K], width, height };
  return { png: url.split(',')[1]!, target: viewer.stats!.target, view };
}
