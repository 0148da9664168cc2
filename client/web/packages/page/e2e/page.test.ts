// The page around the picture: catalogue, token, files, panel, link, recording, keys, and no barriers.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Browser, findChromium, reached, settled, type Viewer } from './support/browser.ts';
import { exportPage } from './support/export.ts';
import { BOX, outFolder, scenesFolder } from './support/scenes.ts';
import { serveExgs, type Running } from './support/servers.ts';

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

describe.skipIf(!findChromium())('the page', () => {
  let server: Running;
  let browser: Browser;
  beforeAll(async () => {
    server = await serveExgs(scenesFolder());
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    browser = await Browser.launch({ viewport: { width: 800, height: 500 } });
  });
  afterEach(() => browser.close());

  const box = async (query = ''): Promise<void> => {
    await browser.page.goto(`${server.url}/scenes/box/${query}`);
    await reached(browser.page, 'firstpicture');
  };
  const faults = async (): Promise<string[]> => {
    await browser.page.evaluate(AXE);
    return browser.page.evaluate(async () => {
      const { axe } = window as unknown as { axe: { run(): Promise<{ violations: Finding[] }> } };
      const { violations } = await axe.run();
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    });
  };

  test('lists the scenes with their posters, and leads to them', async () => {
    const { page } = browser;
    await page.goto(server.url, { waitUntil: 'networkidle' }); // the workers' code has come ahead too
    await page.getByRole('link', { name: /sample/ }).waitFor();
    await page.waitForFunction(() => {
      const image = document.querySelector<HTMLImageElement>('img.picture');
      return image !== null && image.naturalWidth > 0;
    });
    await page.screenshot({ path: path.join(outFolder(), 'catalogue.png') });
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await page.getByRole('link', { name: /box/ }).click();
    await reached(page, 'firstpicture');
    // The code is in the cache by now: the page of the scene names it in place of holding it
    expect(asked.filter((name) => name.startsWith('/assets/')).length).toBe(3);
    expect(browser.complaints).toEqual([]);
  });

  test.each(['light', 'dark'] as const)('has no serious barriers (%s)', async (colorScheme) => {
    const { page } = browser;
    await page.emulateMedia({ colorScheme });
    await page.goto(server.url, { waitUntil: 'networkidle' }); // the workers' code has come ahead too
    await page.getByRole('link', { name: /box/ }).waitFor();
    expect(await faults()).toEqual([]);
    await box();
    await page.getByRole('button', { name: /Panel/ }).click();
    await page.screenshot({ path: path.join(outFolder(), `panel-${colorScheme}.png`) });
    expect(await faults()).toEqual([]);
    expect(browser.complaints).toEqual([]);
  });

  test('is used by keyboard alone', async () => {
    const { page } = browser;
    await page.goto(server.url, { waitUntil: 'networkidle' }); // the workers' code has come ahead too
    await page.getByRole('link', { name: /box/ }).waitFor();
    for (let i = 0; i < 5; i++) {
      const isThere = await page.evaluate(() => /box/.test(document.activeElement?.getAttribute('href') ?? ''));
      if (isThere) break;
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Enter');
    await reached(page, 'firstpicture');
    await page.getByRole('button', { name: /Panel/ }).waitFor();
    const camera = (): Promise<string> =>
      page.evaluate(() => (document.querySelector('exgs-viewer') as unknown as Viewer).camera);
    const before = await camera();
    await page.keyboard.press('ArrowLeft', { delay: 400 });
    await page.waitForFunction(
      (old) => (document.querySelector('exgs-viewer') as unknown as Viewer).camera !== old,
      before,
    );
    await page.keyboard.press('g');
    await page.getByRole('region', { name: 'Panel' }).waitFor();
    await page.waitForFunction(() => location.hash.startsWith('#camera='));
    let reachedIt = false;
    for (let i = 0; i < 20 && !reachedIt; i++) {
      await page.keyboard.press('Tab');
      reachedIt = await page.evaluate(() => document.activeElement?.getAttribute('aria-label') === 'Share this view');
    }
    expect(reachedIt).toBe(true);
    await page.keyboard.press('Enter');
    await page.getByRole('status').filter({ hasText: /link/ }).waitFor();
    expect(browser.complaints).toEqual([]);
  });

  test('loads what sharpens on demand, and leaves a whole scene as it is', async () => {
    const { page } = browser;
    await box();
    await reached(page, 'complete');
    await settled(page);
    const raw = await page.evaluate(pixels);
    await page.getByRole('button', { name: /Panel/ }).click();
    const code = page.waitForResponse(/\/assets\/sharpen-/);
    const choice = page.getByLabel('Sharpen');
    await choice.check();
    expect((await code).status()).toBe(200);
    await settled(page);
    expect(await page.evaluate(pixels)).toBe(raw);
    await choice.uncheck();
    await settled(page);
    expect(await page.evaluate(pixels)).toBe(raw);
    expect(browser.complaints).toEqual([]);
  });

  test('shows figures, and a link leads back to the view', async () => {
    const { page } = browser;
    await box();
    await page.keyboard.press('Tab');
    await page.getByRole('button', { name: /Panel/ }).click();
    await reached(page, 'complete');
    const panel = page.getByRole('region', { name: 'Panel' });
    await panel.getByText('complete').waitFor();
    expect(await panel.textContent()).toMatch(/Gaussians9,000 of 9,000.*Qualityabout 30\.0 dB/);
    await panel.getByLabel('Link').selectOption({ label: '2 Mbit/s' });
    await page.mouse.move(400, 250);
    await page.mouse.down();
    await page.mouse.move(460, 270, { steps: 4 });
    await page.mouse.up();
    await page.waitForFunction(() => location.hash.startsWith('#camera='));
    await settled(page);
    const camera = await page.evaluate(() => (document.querySelector('exgs-viewer') as unknown as Viewer).camera);
    await page.getByRole('button', { name: /Share/ }).click();
    const address = page.url();
    await page.goto('about:blank');
    await page.goto(address);
    await reached(page, 'firstpicture');
    const again = await page.evaluate(() => (document.querySelector('exgs-viewer') as unknown as Viewer).camera);
    expect(again.split(',').map(Number)).toEqual(camera.split(',').map((value) => expect.closeTo(Number(value), 3)));
  });

  test('records the camera as a cameras.json', async () => {
    const { page } = browser;
    await box();
    await page.getByRole('button', { name: 'Record the camera' }).click();
    await page.waitForTimeout(500);
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: /Stop/ }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('cameras.json');
    const cameras = JSON.parse(fs.readFileSync((await download.path())!, 'utf8'));
    expect(cameras.length).toBeGreaterThan(3);
    expect(Object.keys(cameras[0])).toEqual(
      ['id', 'img_name', 'width', 'height', 'position', 'rotation', 'fx', 'fy', 'cx', 'cy'],
    );
  });

  test('opens files, and tells how to encode those of other formats', async () => {
    const { page } = browser;
    await page.goto(server.url, { waitUntil: 'networkidle' }); // the workers' code has come ahead too
    const choose = async (file: string | { name: string; mimeType: string; buffer: Buffer }): Promise<void> => {
      const [chooser] = await Promise.all([
        page.waitForEvent('filechooser'),
        page.getByRole('button', { name: /Open a file/ }).click(),
      ]);
      await chooser.setFiles(file);
    };
    await choose({ name: 'my scene.ply', mimeType: '', buffer: Buffer.from('ply') });
    const dialog = page.getByRole('dialog');
    expect(await dialog.textContent()).toContain("exgs encode 'my scene.ply' 'my scene.exgs'");
    await dialog.getByRole('button', { name: 'Close' }).click();
    await choose(BOX);
    await reached(page, 'complete');
    expect(await page.title()).toBe('box - exgs');
    await page.getByRole('heading', { name: 'box' }).waitFor();
    expect(browser.complaints).toEqual([]);
  });

  test('asks for the token, and keeps it for the session', async () => {
    const closed = await serveExgs(scenesFolder(), 0, '--token', 'secret');
    const { page } = browser;
    try {
      await page.goto(`${closed.url}/scenes/box/`);
      await page.getByLabel(/asks for a token/).fill('secret');
      await page.keyboard.press('Enter');
      await reached(page, 'complete');
      await page.goto(closed.url);
      await page.getByRole('link', { name: /sample/ }).waitFor();
      await page.waitForFunction(() => (document.querySelector<HTMLImageElement>('img.picture')?.naturalWidth ?? 0) > 0);
      expect(browser.complaints).toEqual([]);
    } finally {
      await closed.stop();
    }
  });

  test('keeps out of the way with noui, and shows figures with ministats', async () => {
    await box('?noui&ministats&budget=0.5');
    await browser.page.locator('.ministats').filter({ hasText: /splats/ }).waitFor();
    expect(await browser.page.getByRole('button').count()).toBe(0);
  });

  test('in one file it needs no server', async () => {
    const file = path.join(outFolder(), 'box.html');
    exportPage(BOX, file, '-w');
    const { page } = browser;
    await page.goto(`file://${file}`);
    await reached(page, 'complete');
    await settled(page);
    expect(await page.evaluate(() => (document.querySelector('exgs-viewer') as unknown as Viewer).stats!.splats)).toBe(9000);
    expect(await page.locator('script[type="application/x-exgs"]').count()).toBe(0);
    expect(browser.complaints).toEqual([]);
  });
});

interface Finding {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string }[];
}

/** What the viewer shows, as a data URL. */
async function pixels(): Promise<string> {
  const blob = await (document.querySelector('exgs-viewer') as unknown as Viewer).snapshot();
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.readAsDataURL(blob);
  });
}
