// A small HTTP server of one file, with ranges, tags, and faults to order.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How the server misbehaves. */
export interface Manners {
  file: Uint8Array;
  etag: string | null;
  ignoresRanges: boolean;
  /** Break the connection after so many bytes of a body, so many times. */
  breaks: { afterBytes: number; times: number };
  /** Change a byte of these parts of the file in answers, so many times. */
  damages: { offset: number; times: number };
  status: number;
  log: { range: string | undefined; ifMatch: string | undefined; cacheControl: string | undefined }[];
}

/** Serves until `close` is called. */
export async function serve(file: Uint8Array, manners: Partial<Manners> = {}) {
  const state: Manners = {
    file,
    etag: '"one"',
    ignoresRanges: false,
    breaks: { afterBytes: 0, times: 0 },
    damages: { offset: 0, times: 0 },
    status: 0,
    log: [],
    ...manners,
  };
  const server = createServer((request, response) => answer(state, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  return { url: `http://127.0.0.1:${port}/scenes/box.exgs`, state, close };
}

function answer(state: Manners, request: IncomingMessage, response: ServerResponse): void {
  const { range, 'if-match': ifMatch, 'cache-control': cacheControl } = request.headers;
  state.log.push({ range, ifMatch, cacheControl });
  if (state.status) {
    response.writeHead(state.status).end();
    return;
  }
  if (ifMatch && ifMatch !== state.etag) {
    response.writeHead(412).end();
    return;
  }
  const size = state.file.length;
  const found = state.ignoresRanges ? null : /^bytes=(\d+)-(\d+)$/.exec(range ?? '');
  const start = found ? Number(found[1]) : 0;
  const end = found ? Math.min(Number(found[2]) + 1, size) : size;
  const headers: Record<string, string | number> = { 'Content-Length': Math.max(end - start, 0) };
  if (state.etag) headers.ETag = state.etag;
  if (start >= size) {
    response.writeHead(416, { 'Content-Range': `bytes */${size}` }).end();
    return;
  }
  if (found) headers['Content-Range'] = `bytes ${start}-${end - 1}/${size}`;
  const body = state.file.slice(start, end);
  const at = state.damages.offset - start;
  if (state.damages.times > 0 && at >= 0 && at < body.length) {
    state.damages.times -= 1;
    body[at]! ^= 0xff;
  }
  response.writeHead(found ? 206 : 200, headers);
  if (state.breaks.times > 0 && body.length > state.breaks.afterBytes) {
    state.breaks.times -= 1;
    response.write(body.subarray(0, state.breaks.afterBytes), () =>
      setTimeout(() => response.destroy(), 20),
    );
    return;
  }
  response.end(body);
}
