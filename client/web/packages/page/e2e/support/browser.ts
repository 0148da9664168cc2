// Chromium with a fresh profile, and what a page says and asks for on the way.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { chromium, type BrowserContext, type Page } from 'playwright-core';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
// A software driver's own remark on how it works, which no page can help.
const DRIVER = /GL Driver Message \(OpenGL, Performance/;

export const DESKTOP = { width: 1280, height: 720 };
export const PHONE = { width: 390, height: 844 };
export const SMALL = { width: 480, height: 270 };

/** Where Chromium is; null where there is none. */
export function findChromium(): string | null {
  const named = process.env['CHROMIUM'];
  const places = named ? [named] : ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  return places.find((place) => fs.existsSync(place)) ?? null;
}

/** A browser of its own, and one page in it. */
export class Browser {
  readonly page: Page;
  /** Console messages, exceptions, failed requests, answers of 400 and above. */
  readonly complaints: string[] = [];
  readonly context: BrowserContext;
  readonly #profile: string;

  private constructor(context: BrowserContext, page: Page, profile: string) {
    this.context = context;
    this.page = page;
    this.#profile = profile;
    page.on('console', (message) => {
      if (!DRIVER.test(message.text())) this.complaints.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.complaints.push(`exception: ${error.message}`));
    page.on('requestfailed', (request) => {
      this.complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`);
    });
    page.on('response', (response) => {
      if (response.status() >= 400) this.complaints.push(`${response.status()}: ${response.url()}`);
    });
  }

  static async launch(options: Parameters<typeof chromium.launchPersistentContext>[1] = {}): Promise<Browser> {
    const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'exgs-e2e-'));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: findChromium()!,
      headless: true,
      viewport: SMALL,
      deviceScaleFactor: 1,
      args: FLAGS,
      ...options,
    });
    return new Browser(context, context.pages()[0] ?? (await context.newPage()), profile);
  }

  async close(): Promise<void> {
    await this.context.close();
    fs.rmSync(this.#profile, { recursive: true, force: true });
  }
}

/** A number that the viewer tells of its scene. */
export function progress(page: Page): Promise<{ receivedBytes: number; splats: number; complete: boolean }> {
  return page.evaluate(() => {
    const viewer = document.querySelector('exgs-viewer') as unknown as Viewer | null;
    return viewer?.stats?.progress ?? { receivedBytes: 0, splats: 0, complete: false };
  });
}

/** Waits until the page has marked a milestone: open, firstpicture, ready, complete. */
export async function reached(page: Page, milestone: string, timeout = 120_000): Promise<number> {
  const name = `exgs:${milestone}`;
  await page.waitForFunction((mark) => performance.getEntriesByName(mark).length > 0, name, { timeout });
  return page.evaluate((mark) => performance.getEntriesByName(mark)[0]!.startTime, name);
}

/** Waits until so many bytes have come, and the picture has taken them in. */
export async function received(page: Page, bytes: number, timeout = 120_000): Promise<void> {
  await page.waitForFunction(
    (least) => {
      const viewer = document.querySelector('exgs-viewer') as unknown as Viewer | null;
      return (viewer?.stats?.progress?.receivedBytes ?? 0) >= least;
    },
    bytes,
    { timeout, polling: 50 },
  );
}

/** Waits until nothing moves any more: no bytes, no fade. */
export async function settled(page: Page, timeout = 120_000): Promise<void> {
  await page.evaluate(async (limit) => {
    const until = performance.now() + limit;
    let [before, calm] = ['', 0];
    while (calm < 4) {
      if (performance.now() > until) throw new Error(`not settled: ${before}`);
      await new Promise((resolve) => setTimeout(resolve, 250));
      const viewer = document.querySelector('exgs-viewer') as unknown as Viewer | null;
      const stats = viewer?.stats;
      const now = JSON.stringify([stats?.progress, stats?.splats, stats?.gpuBytes]);
      calm = stats && stats.frameMs === 0 && now === before ? calm + 1 : 0;
      before = now;
    }
  }, timeout);
}

/** As much of the element as tests use. */
export interface Viewer {
  readonly stats: {
    readonly frameMs: number;
    readonly splats: number;
    readonly gpuBytes: number;
    readonly target: string;
    readonly progress: { receivedBytes: number; splats: number; complete: boolean } | null;
  } | null;
  readonly view: { viewmat: Float64Array; K: Float64Array; width: number; height: number } | null;
  readonly camera: string;
  snapshot(): Promise<Blob>;
  look(camera: string): void;
}
