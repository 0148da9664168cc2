// Debian's Chromium with a fresh profile, and Vite to serve the sources as they are.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { createServer } from 'vite';

export const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A server of `root` (the package) that also hands out the files of `data` under /data/. */
export async function serve(root, data) {
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'warn',
    server: { host: '127.0.0.1', port: 0, fs: { strict: false }, hmr: false, watch: null },
    plugins: [
      {
        name: 'data',
        configureServer({ middlewares }) {
          middlewares.use('/data/', (request, answer, next) => {
            const file = path.join(data, decodeURIComponent(new URL(request.url, 'http://x').pathname));
            if (!fs.existsSync(file)) return next();
            send(file, request, answer);
          });
        },
      },
    ],
  });
  await server.listen();
  const { port } = server.httpServer.address();
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() };
}

/** Answers with a file, or with the range of it that is asked for. */
function send(file, request, answer) {
  const { size, mtimeMs } = fs.statSync(file);
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const first = range ? Number(range[1]) : 0;
  const last = Math.min(range ? Number(range[2]) : Infinity, size - 1);
  answer.setHeader('ETag', `"${size}-${mtimeMs}"`);
  answer.setHeader('Content-Length', last - first + 1);
  if (range) answer.setHeader('Content-Range', `bytes ${first}-${last}/${size}`);
  answer.writeHead(range ? 206 : 200);
  fs.createReadStream(file, { start: first, end: last }).pipe(answer);
}

/** A browser context; `close` ends it and removes its profile. */
export async function launch(options = {}) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'exgs-viewer-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: EXECUTABLE,
    headless: true,
    viewport: { width: 640, height: 360 },
    deviceScaleFactor: 1,
    args: FLAGS,
    ...options,
  });
  const close = async () => {
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
  };
  return { context, profile, close };
}
