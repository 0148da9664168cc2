// Loading over a slow link: what is shown when, what is asked for, and that nothing complains.

import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLink } from '../../../../../bench/web/link.mjs';
import { Browser, DESKTOP, findChromium, PHONE, reached, received, settled, SMALL } from './support/browser.ts';
import { missing, outFolder, REAL, realScene, SAMPLE, scenesFolder } from './support/scenes.ts';
import { serveExgs, serveFront, serveNginx, type Running } from './support/servers.ts';

const CODE_BYTES = 80_000; // gzip, all of it before the first picture, and the page itself
const MARKS = [64_000, 300_000, 1_000_000];
const LEAST_PICTURE_BYTES = { desktop: 60_000, phone: 40_000 }; // of a PNG: a black page has 13,000

describe.skipIf(!findChromium())('loading', () => {
  let server: Running;
  beforeAll(async () => {
    server = await serveExgs(scenesFolder());
  });
  afterAll(() => server.stop());

  test.each([
    ['desktop', DESKTOP],
    ['phone', PHONE],
  ])('sharpens on a %s, and says and asks for nothing needless', async (name, viewport) => {
    const browser = await Browser.launch({ viewport, hasTouch: name === 'phone' });
    const { page } = browser;
    try {
      await page.goto(`${server.url}/scenes/sample/?rate=2`);
      expect(await page.title()).toBe('sample - exgs');
      await reached(page, 'firstpicture');
      await page.screenshot({ path: path.join(outFolder(), `${name}-first.png`) });
      await reached(page, 'complete');
      await settled(page);
      await page.screenshot({ path: path.join(outFolder(), `${name}-complete.png`) });
      expect(await page.locator('#poster').count()).toBe(0);
      expect(browser.complaints).toEqual([]);
    } finally {
      await browser.close();
    }
  });

  /** What stands once the first bytes of a scene have come and are drawn, and no more comes. */
  const photograph = async (file: string, marks = MARKS): Promise<void> => {
    const scene = path.basename(file, '.exgs');
    for (const [name, viewport] of [['desktop', DESKTOP], ['phone', PHONE]] as const) {
      const browser = await Browser.launch({ viewport, hasTouch: name === 'phone' });
      for (const mark of marks) {
        const bytes = Math.min(mark, fs.statSync(file).size);
        const front = await serveFront(file, bytes);
        await browser.page.goto(`${server.url}/?content=${front.url}/${scene}.exgs`);
        await reached(browser.page, 'firstpicture');
        await received(browser.page, 0.9 * bytes);
        await settled(browser.page);
        const picture = await browser.page.screenshot({ path: path.join(outFolder(), `${scene}-${name}-${mark}.png`) });
        expect(picture.length).toBeGreaterThan(LEAST_PICTURE_BYTES[name]);
        await front.stop();
      }
      expect(browser.complaints.filter((text) => text.startsWith('exception'))).toEqual([]);
      await browser.close();
    }
  };

  test('draws what 64 kB, 300 kB and 1 MB hold', () => photograph(SAMPLE));

  test.for(REAL)('draws what 64 kB, 300 kB, 1 MB and all of %s hold', async (name, { skip }) => {
    const file = realScene(name);
    if (!file) skip(missing(name));
    await photograph(file!, [...MARKS, Infinity]);
  });

  test('shows the poster before any code runs, and asks for the scene before that', async () => {
    const link = await openLink(server.port, { mbit: 2, delayMs: 100 });
    const browser = await Browser.launch({ viewport: SMALL });
    const { page } = browser;
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    try {
      await page.goto(`http://127.0.0.1:${link.port}/scenes/sample/`, { waitUntil: 'commit' });
      await page.waitForFunction(() => performance.getEntriesByName('first-contentful-paint').length > 0);
      const started = await page.evaluate(() => performance.getEntriesByName('exgs:start').length);
      expect(started).toBe(0); // the poster is painted, the code is still on its way
      const firstMs = await reached(page, 'firstpicture');
      const paintMs = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]!.startTime);
      const [pageBytes, pageCame, sceneAsked] = await page.evaluate(() => {
        const [html] = performance.getEntriesByType('navigation') as PerformanceResourceTiming[];
        const entries = performance.getEntriesByType('resource') as PerformanceResourceTiming[];
        const scene = entries.find((entry) => entry.name.includes('sample.exgs'))!;
        return [html!.encodedBodySize, html!.responseEnd, scene.startTime];
      });
      console.log(`poster ${paintMs.toFixed(0)} ms, first picture ${firstMs.toFixed(0)} ms, page with code ${pageBytes} bytes`);
      expect(asked.filter((name) => name.startsWith('/assets/'))).toEqual([]); // at a first visit the code is in the page
      expect(sceneAsked).toBeLessThan(pageCame!);
      expect(pageBytes).toBeGreaterThan(20_000);
      expect(pageBytes).toBeLessThan(CODE_BYTES);
      expect(browser.complaints).toEqual([]);
    } finally {
      await browser.close();
      await link.close();
    }
  });

  test('works from any file server, as one page beside the scene', async ({ skip }) => {
    const folder = fs.mkdtempSync(path.join(outFolder(), 'static-'));
    fs.copyFileSync(SAMPLE, path.join(folder, 'sample.exgs'));
    const { exportPage } = await import('./support/export.ts');
    exportPage(SAMPLE, path.join(folder, 'index.html'), '--url', 'sample.exgs');
    const nginx = await serveNginx(folder);
    if (!nginx) skip('needs nginx');
    const browser = await Browser.launch({ viewport: SMALL });
    try {
      await browser.page.goto(`${nginx!.url}/index.html`);
      await reached(browser.page, 'complete');
      expect(browser.complaints).toEqual([]);
    } finally {
      await browser.close();
      await nginx?.stop();
      fs.rmSync(folder, { recursive: true });
    }
  });
});
