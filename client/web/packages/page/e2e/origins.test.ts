// A scene on another origin: which headers it needs there, and what is said where they are missing.

import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from 'vitest';
import { Browser, findChromium, reached, SMALL } from './support/browser.ts';
import { BOX, scenesFolder } from './support/scenes.ts';
import { serveExgs, serveNginx, serveS3, type Running } from './support/servers.ts';

const CORS = `add_header Access-Control-Allow-Origin * always;
  add_header Access-Control-Expose-Headers "Content-Range, ETag" always;`;
const S3_CORS = `<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin>
  <AllowedMethod>GET</AllowedMethod><AllowedMethod>HEAD</AllowedMethod><AllowedHeader>*</AllowedHeader>
  <ExposeHeader>ETag</ExposeHeader><ExposeHeader>Content-Range</ExposeHeader></CORSRule></CORSConfiguration>`;

describe.skipIf(!findChromium())('other origins', () => {
  let server: Running;
  let browser: Browser;
  beforeAll(async () => {
    server = await serveExgs(scenesFolder());
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    browser = await Browser.launch({ viewport: SMALL });
  });
  afterEach(() => browser.close());

  const open = (url: string): Promise<unknown> => browser.page.goto(`${server.url}/?content=${url}`);

  test('nginx with the headers, and no preflight', async ({ skip }) => {
    const nginx = await serveNginx(scenesFolder(), CORS);
    if (!nginx) skip('needs nginx');
    const methods: string[] = [];
    browser.page.on('request', (request) => methods.push(request.method()));
    await open(`${nginx!.url}/box.exgs`);
    await reached(browser.page, 'complete');
    expect(methods).not.toContain('OPTIONS');
    expect(browser.complaints).toEqual([]);
    await nginx!.stop();
  });

  test('nginx without them is told of, with what it has to send', async ({ skip }) => {
    const nginx = await serveNginx(scenesFolder());
    if (!nginx) skip('needs nginx');
    await open(`${nginx!.url}/box.exgs`);
    const dialog = browser.page.getByRole('dialog');
    await dialog.waitFor();
    expect(await dialog.textContent()).toContain(`Access-Control-Allow-Origin: ${server.url}`);
    await nginx!.stop();
  });

  test('a server that is not there is told of', async () => {
    await open('http://127.0.0.1:9/box.exgs');
    const dialog = browser.page.getByRole('dialog');
    await dialog.waitFor();
    expect(await dialog.textContent()).toContain('does not answer');
  });

  test('an S3 bucket', async ({ skip }) => {
    const s3 = await serveS3(BOX, S3_CORS);
    if (!s3) skip('needs moto and flask');
    await open(`${s3!.url}/box.exgs`);
    await reached(browser.page, 'complete');
    expect(browser.complaints).toEqual([]);
    await s3!.stop();
  });

  test('an exgs server that lets this page in, by ranges and by its stream', async () => {
    const other = await serveExgs(scenesFolder(), 0, '--cors-origin', server.url);
    for (const transport of ['static', 'streaming']) {
      await open(`${other.url}/scenes/box.exgs&transport=${transport}`);
      await reached(browser.page, 'complete');
    }
    expect(browser.complaints).toEqual([]);
    await other.stop();
  });
});
