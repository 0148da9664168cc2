// A file server as a good host would be: code packed by gzip, scenes as they are.

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import zlib from 'node:zlib';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.wasm': 'application/wasm', '.webp': 'image/webp' };
const PACKED = new Set(['.html', '.js', '.css', '.json', '.wasm']);

/** Serves folders under names: { '/': dist, '/data/': folder }. */
export async function serveSite(folders) {
  const packed = new Map();
  const server = http.createServer((request, answer) => {
    const name = decodeURIComponent(new URL(request.url, 'http://x').pathname);
    const prefix = Object.keys(folders).filter((key) => name.startsWith(key)).sort((a, b) => b.length - a.length)[0];
    const file = path.join(folders[prefix], name.slice(prefix.length));
    if (!fs.existsSync(file) || !fs.statSync(file).isFile()) {
      answer.writeHead(404).end();
      return;
    }
    const kind = path.extname(file);
    const headers = { 'Content-Type': TYPES[kind] ?? 'application/octet-stream' };
    if (PACKED.has(kind)) {
      if (!packed.has(file)) packed.set(file, zlib.gzipSync(fs.readFileSync(file), { level: 9 }));
      const body = packed.get(file);
      answer.writeHead(200, { ...headers, 'Content-Encoding': 'gzip', 'Content-Length': body.length });
      answer.end(body);
      return;
    }
    answer.writeHead(200, { ...headers, 'Content-Length': fs.statSync(file).size });
    fs.createReadStream(file).pipe(answer);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: server.address().port, close: () => server.close() };
}
