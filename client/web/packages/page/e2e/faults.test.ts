// What can go wrong on the way: the server dies, the network goes, bytes are damaged, the scene changes.

import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openLink } from '../../../../../bench/web/link.mjs';
import { Browser, findChromium, progress, reached, received, SMALL } from './support/browser.ts';
import { BOX, copyOf, outFolder, SAMPLE } from './support/scenes.ts';
import { freePort, serveExgs } from './support/servers.ts';

describe.skipIf(!findChromium())('faults', () => {
  let browser: Browser;
  let folder: string;

  beforeEach(async () => {
    folder = fs.mkdtempSync(path.join(outFolder(), 'faults-'));
    browser = await Browser.launch({ viewport: SMALL });
  });
  afterEach(async () => {
    await browser.close();
    fs.rmSync(folder, { recursive: true });
  });

  const said = (text: RegExp): Promise<unknown> =>
    browser.page.waitForFunction(
      (source) => {
        const viewer = document.querySelector('exgs-viewer');
        return new RegExp(source, 'i').test(viewer?.shadowRoot?.querySelector('.status')?.textContent ?? '');
      },
      text.source,
      { timeout: 60_000 },
    );
  const exceptions = (): string[] => browser.complaints.filter((text) => text.startsWith('exception'));

  test.each(['static', 'streaming'])('a server that is killed and comes back is gone on with (%s)', async (transport) => {
    copyOf(SAMPLE, folder);
    const port = await freePort();
    const first = await serveExgs(folder, port);
    const { page } = browser;
    await page.goto(`${first.url}/scenes/sample/?rate=2&transport=${transport}`);
    await received(page, 150_000);
    await first.stop('SIGKILL');
    await said(/connection|try/);
    const before = (await progress(page)).receivedBytes;
    const second = await serveExgs(folder, port);
    try {
      await reached(page, 'complete');
      const { receivedBytes } = await progress(page);
      expect(before).toBeGreaterThan(100_000);
      expect(receivedBytes).toBeLessThan(1.35 * fs.statSync(SAMPLE).size); // no second copy
      expect(exceptions()).toEqual([]);
    } finally {
      await second.stop();
    }
  });

  test('offline and back', async () => {
    copyOf(SAMPLE, folder);
    const server = await serveExgs(folder);
    const link = await openLink(server.port, { mbit: 3, delayMs: 20 });
    const { page } = browser;
    try {
      await page.goto(`http://127.0.0.1:${link.port}/scenes/sample/`);
      await received(page, 150_000);
      link.setUp(false);
      await browser.context.setOffline(true);
      await said(/connection|try/);
      link.setUp(true);
      await browser.context.setOffline(false);
      await reached(page, 'complete');
      expect(exceptions()).toEqual([]);
    } finally {
      await link.close();
      await server.stop();
    }
  });

  test('a damaged chunk is refused and asked for again, and the rest is shown', async () => {
    const file = copyOf(SAMPLE, folder);
    const data = fs.readFileSync(file);
    const at = Math.floor(data.length / 2);
    const sound = data[at]!;
    data[at] = sound ^ 0xff;
    fs.writeFileSync(file, data);
    const server = await serveExgs(folder);
    const { page } = browser;
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.headers()['range'] ?? ''));
    try {
      await page.goto(`${server.url}/scenes/sample/?transport=static`);
      await reached(page, 'firstpicture');
      await received(page, 0.9 * data.length);
      const around = (range: string): boolean => {
        const [first = 0, last = 0] = range.replace('bytes=', '').split('-').map(Number);
        return first <= at && at <= last;
      };
      await page.waitForTimeout(3000);
      expect(asked.filter(around).length).toBeGreaterThan(1);
      expect(asked.filter(around).length).toBeLessThan(12);
      expect(exceptions()).toEqual([]);
    } finally {
      await server.stop();
    }
  });

  test('a scene that changes on the server is said, and the new one is shown', async () => {
    const file = copyOf(SAMPLE, folder);
    const server = await serveExgs(folder);
    const { page } = browser;
    try {
      await page.goto(`${server.url}/scenes/sample/?rate=1&transport=static`);
      await received(page, 100_000);
      fs.copyFileSync(BOX, `${file}.new`);
      fs.renameSync(`${file}.new`, file);
      await page.getByRole('status').filter({ hasText: /changed/ }).waitFor({ timeout: 60_000 });
      await page.waitForFunction(
        () => (document.querySelector('exgs-viewer') as unknown as { facts: { name: string } }).facts.name === 'box',
        undefined,
        { timeout: 60_000 },
      );
      expect(exceptions()).toEqual([]);
    } finally {
      await server.stop();
    }
  });
});
