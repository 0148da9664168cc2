// Servers for a test: exgs, nginx, an S3 server, and one that stops after so many bytes.

import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';

export const REPOSITORY = path.resolve(import.meta.dirname, '../../../../../..');
export const PYTHON = process.env['EXGS_PYTHON'] ?? path.join(REPOSITORY, '.venv/bin/python');

export interface Running {
  readonly url: string;
  readonly port: number;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** A free port of this machine. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** `exgs serve` of a folder. */
export async function serveExgs(folder: string, port = 0, ...options: string[]): Promise<Running> {
  const words = ['-m', 'exgs.cli.main', 'serve', folder, '--port', `${port}`, '-q', ...options];
  const child = spawn(PYTHON, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const said = await firstLine(child);
  const found = /at (http:\/\/127\.0\.0\.1:(\d+))\/scenes/.exec(said);
  if (!found) throw new Error(`exgs serve says ${said}`);
  return { url: found[1]!, port: Number(found[2]), stop: (signal) => stop(child, signal) };
}

/** nginx with a folder of files; `headers` are lines of its configuration. Null where it is missing. */
export async function serveNginx(folder: string, headers = ''): Promise<Running | null> {
  const nginx = ['/usr/sbin/nginx', '/usr/local/bin/nginx'].find((place) => fs.existsSync(place));
  if (!nginx) return null;
  const port = await freePort();
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'exgs-nginx-'));
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  fs.writeFileSync(
    path.join(home, 'nginx.conf'),
    `${process.getuid?.() === 0 ? 'user root;' : ''} daemon off; master_process off; pid ${home}/pid;
     error_log stderr error; events {} http { access_log off;
     ${places.map((name) => `${name}_temp_path ${home}/${name};`).join(' ')}
     types { text/html html; application/octet-stream exgs; }
     server { listen 127.0.0.1:${port}; root ${folder}; location / { ${headers} } } }`,
  );
  const child = spawn(nginx, ['-p', home, '-c', path.join(home, 'nginx.conf')], { stdio: 'inherit' });
  const url = `http://127.0.0.1:${port}`;
  await answering(url);
  const end = async (): Promise<void> => {
    await stop(child);
    fs.rmSync(home, { recursive: true, force: true });
  };
  return { url, port, stop: end };
}

/** An S3 server with one bucket that holds a file, which everybody may read; null where moto is missing. */
export async function serveS3(file: string, cors: string | null): Promise<Running | null> {
  const port = await freePort();
  const child = spawn(PYTHON, ['-m', 'moto.server', '-p', `${port}`], { stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}`;
  const isThere = await Promise.race([answering(url).then(() => true), once(child, 'exit').then(() => false)]);
  if (!isThere) return null;
  const name = path.basename(file);
  const put = async (at: string, body: string | Uint8Array): Promise<void> => {
    const answer = await fetch(`${url}/bucket${at}`, {
      method: 'PUT',
      body: body as BodyInit,
      headers: { 'x-amz-acl': 'public-read' },
    });
    if (!answer.ok) throw new Error(`the S3 server answers ${answer.status} to ${at}`);
  };
  await put('', '');
  await put(`/${name}`, fs.readFileSync(file));
  if (cors) await put('?cors', cors);
  return { url: `${url}/bucket`, port, stop: () => stop(child) };
}

/** A server that knows no ranges and sends the first `bytes` of a file, then nothing, without an end. */
export async function serveFront(file: string, bytes: number): Promise<Running> {
  const data = fs.readFileSync(file);
  const server = http.createServer((request, answer) => {
    answer.setHeader('Access-Control-Allow-Origin', '*');
    answer.setHeader('Content-Length', data.length);
    answer.writeHead(200);
    if (request.method === 'HEAD') answer.end();
    else if (bytes < data.length) answer.write(data.subarray(0, bytes));
    else answer.end(data);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const end = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}`, port, stop: end };
}

async function firstLine(child: ChildProcess): Promise<string> {
  let said = '';
  for await (const data of child.stdout!) {
    said += String(data);
    if (said.includes('\n')) break;
  }
  return said;
}

async function answering(url: string): Promise<void> {
  for (let i = 0; i < 300; i++) {
    const answer = await fetch(url).catch(() => null);
    if (answer) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${url} does not answer`);
}

async function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}
