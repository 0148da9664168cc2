// The element in pages of others, from the server's file: several of them, and what stays after dispose.

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Browser, findChromium } from './support/browser.ts';
import { outFolder, scenesFolder } from './support/scenes.ts';
import { freePort, serveExgs, serveNginx } from './support/servers.ts';

test.skipIf(!findChromium())('several elements on a page of another origin, and their end', async ({ skip }) => {
  const port = await freePort();
  const folder = fs.mkdtempSync(path.join(outFolder(), 'embed-'));
  const nginx = await serveNginx(folder);
  if (!nginx) skip('needs nginx');
  const server = await serveExgs(scenesFolder(), port, '--cors-origin', nginx!.url);
  const element = `<exgs-viewer src="${server.url}/scenes/box.exgs" style="height: 180px"></exgs-viewer>`;
  fs.writeFileSync(
    path.join(folder, 'index.html'),
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title><link rel="icon" href="data:,">
     <script type="module" src="${server.url}/exgs-viewer.js"></script></head>
     <body>${element}${element}${element}</body></html>`,
  );
  const browser = await Browser.launch({ viewport: { width: 480, height: 600 } });
  const { page } = browser;
  try {
    await page.goto(`${nginx!.url}/index.html`);
    await page.waitForFunction(
      () => {
        const viewers = [...document.querySelectorAll('exgs-viewer')] as unknown as { stats: { progress: { complete: boolean } | null } | null }[];
        return viewers.length === 3 && viewers.every(({ stats }) => stats?.progress?.complete);
      },
      undefined,
      { timeout: 60_000 },
    );
    await page.screenshot({ path: path.join(outFolder(), 'embed.png') });
    expect(page.workers().length).toBe(6);
    await page.evaluate(() => {
      for (const viewer of document.querySelectorAll('exgs-viewer')) (viewer as unknown as { dispose(): void }).dispose();
    });
    for (let i = 0; i < 50 && page.workers().length > 0; i++) await page.waitForTimeout(100);
    expect(page.workers().length).toBe(0);
    expect(browser.complaints).toEqual([]);
  } finally {
    await browser.close();
    await server.stop();
    await nginx?.stop();
    fs.rmSync(folder, { recursive: true });
  }
});
