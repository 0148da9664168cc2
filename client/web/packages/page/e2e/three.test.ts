// The example for three.js runs, and shows what the file holds (but for the harmonics).

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createServer } from 'vite';
import { expect, test } from 'vitest';
import { Browser, findChromium, reached, SMALL } from './support/browser.ts';
import { BOX, outFolder, scenesFolder } from './support/scenes.ts';
import { PYTHON, REPOSITORY, serveExgs } from './support/servers.ts';

const LEAST_DB = 24; // the box has harmonics, which the example leaves out

test.skipIf(!findChromium())('the example for three.js shows the scene', async () => {
  const root = path.join(REPOSITORY, 'client/web/examples/three');
  const vite = await createServer({
    root,
    configFile: false,
    logLevel: 'warn',
    server: { host: '127.0.0.1', port: 0, fs: { strict: false } },
  });
  await vite.listen();
  const { port } = vite.httpServer!.address() as { port: number };
  const own = `http://127.0.0.1:${port}`;
  const server = await serveExgs(scenesFolder(), 0, '--cors-origin', own);
  const browser = await Browser.launch({ viewport: SMALL });
  const { page } = browser;
  try {
    await page.goto(`${own}/index.html?content=${server.url}/scenes/box.exgs`);
    await reached(page, 'complete');
    await page.waitForTimeout(2000);
    const picture = path.join(outFolder(), 'three.png');
    await page.screenshot({ path: picture });
    const view = await page.evaluate(() => {
      const { splats } = window as unknown as { splats: { view: Record<'viewmat' | 'K', Float64Array> } };
      return { ...splats.view, viewmat: [...splats.view.viewmat], K: [...splats.view.K] };
    });
    const pair = { file: BOX, bytes: fs.statSync(BOX).size, view, picture };
    const script = path.join(import.meta.dirname, 'support/compare.py');
    const told = execFileSync(PYTHON, [script], { input: JSON.stringify([pair]), encoding: 'utf8' });
    console.log(`three.js: ${told} dB`);
    expect(JSON.parse(told)[0]).toBeGreaterThan(LEAST_DB);
    expect(browser.complaints.filter((text) => !text.includes('[vite]'))).toEqual([]);
  } finally {
    await browser.close();
    await server.stop();
    await vite.close();
  }
});
