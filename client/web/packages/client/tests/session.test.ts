// Whole sessions, without a worker: HTTP servers good and bad, local files, budgets, the disk.

import { afterEach, expect, test } from 'vitest';
import { decodeFile } from '../src/decoder.ts';
import type { Disk, DiskFile } from '../src/disk/store.ts';
import type { DrawnSplats } from '../src/scene/shown.ts';
import type { View } from '../src/update.ts';
import { Run } from './support/run.ts';
import { readVector } from './support/samples.ts';
import { serve, type Manners } from './support/server.ts';

const FILE = readVector('valid/full.exgs');
const OTHER = readVector('valid/jumps.exgs');
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function start(file: Uint8Array, manners: Partial<Manners> = {}) {
  const server = await serve(file, manners);
  closing.push(server.close);
  return server;
}

function open(...request: ConstructorParameters<typeof Run>): Run {
  const run = new Run(...request);
  closing.push(() => run.dispose());
  return run;
}

const http = (url: string) => ({ kind: 'http', url, sendsIfMatch: true }) as const;

async function drawnOf(file: Uint8Array): Promise<DrawnSplats> {
  return (await decodeFile(file)).scene.drawn();
}

const bad: Record<string, Partial<Manners>> = {
  'as it should be': {},
  'that ignores ranges': { ignoresRanges: true },
  'without tags': { etag: null },
  'whose connections break': { breaks: { afterBytes: 700, times: 2 } },
  'that damages a part twice': { damages: { offset: FILE.length - 20, times: 2 } },
};

for (const [name, manners] of Object.entries(bad)) {
  test(`a server ${name} brings the whole scene`, async () => {
    const { url, state } = await start(FILE, manners);
    const run = open({ source: http(url) });
    await run.complete();
    expect(run.scene.drawn()).toEqual(await drawnOf(FILE));
    if (manners.damages) {
      expect(run.types).toContain('damaged');
      expect(state.log.some(({ cacheControl }) => cacheControl === 'no-cache')).toBe(true);
    }
    if (manners.breaks) expect(run.types).toContain('reconnecting');
  });
}

test('a part that always comes damaged ends the scene, and what came before stays', async () => {
  const { url } = await start(FILE, { damages: { offset: FILE.length - 20, times: 99 } });
  const run = open({ source: http(url) });
  await expect(run.complete()).rejects.toThrow('hash');
  expect(run.scene.drawn().count).toBeGreaterThan(0);
});

test('what the server refuses is said', async () => {
  for (const [status, words] of [[404, 'no such scene'], [401, 'token'], [403, 'not let']] as const) {
    const { url } = await start(FILE, { status });
    const run = open({ source: http(url) });
    await expect(run.complete()).rejects.toThrow(words);
  }
});

test('a scene that changes on the server is dropped and read anew', async () => {
  const { url, state } = await start(FILE, { breaks: { afterBytes: 1200, times: 1 } });
  const run = open({ source: http(url) });
  await run.until(({ types }) => types.includes('reconnecting'));
  state.file = OTHER;
  state.etag = '"two"';
  await run.until(({ types }) => types.includes('changed'));
  await run.complete();
  expect(run.scene.drawn()).toEqual(await drawnOf(OTHER));
  expect(run.types.filter((type) => type === 'open').length).toBe(2);
});

test('a file that is cut on the server is said to be', async () => {
  const { url } = await start(FILE.slice(0, -50));
  const run = open({ source: http(url) });
  await expect(run.complete()).rejects.toThrow(/less|ends/);
});

test('the first answer of the page is used, and its bytes are not asked for again', async () => {
  const { url, state } = await start(FILE);
  const first = Promise.resolve({
    status: 206,
    header: (name: string) =>
      name === 'Content-Range' ? `bytes 0-${FILE.length - 1}/${FILE.length}` : name === 'ETag' ? '"one"' : null,
    body: (async function* () {
      for (let at = 0; at < FILE.length; at += 500) yield FILE.slice(at, at + 500);
    })(),
  });
  const run = open({ source: http(url), hasFirst: true }, { first });
  await run.complete();
  expect(run.scene.drawn()).toEqual(await drawnOf(FILE));
  expect(state.log).toEqual([]);
});

test('files, bytes and functions at hand', async () => {
  const wanted = await drawnOf(FILE);
  const blob = new Blob([FILE as Uint8Array<ArrayBuffer>]);
  for (const run of [
    open({ source: { kind: 'blob', blob } }),
    open({ source: { kind: 'bytes', bytes: FILE } }),
    open({ source: { kind: 'asked' } }, { read: async (at, n) => FILE.slice(at, at + n) }),
  ]) {
    await run.complete();
    expect(run.scene.drawn()).toEqual(wanted);
  }
});

test('a local file that is cut is shown as far as it goes, and said to be cut', async () => {
  const bytes = FILE.slice(0, 2820);
  const run = open({ source: { kind: 'bytes', bytes } });
  await expect(run.complete()).rejects.toThrow('before it is complete');
  expect(run.scene.drawn()).toEqual(await drawnOf(bytes));
  const stub = open({ source: { kind: 'bytes', bytes: FILE.slice(0, 100) } });
  await expect(stub.complete()).rejects.toThrow('before it is complete');
});

test('a budget keeps some of the scene, and a new view other parts', async () => {
  const view = (x: number): View => ({
    viewmat: Float64Array.of(1, 0, 0, -x, 0, 1, 0, 0, 0, 0, 1, 3, 0, 0, 0, 1),
    K: Float64Array.of(50, 0, 48, 0, 50, 32, 0, 0, 1),
    width: 96,
    height: 64,
  });
  const { url } = await start(OTHER);
  const all = (await drawnOf(OTHER)).count;
  const run = open({ source: http(url), budget: { splats: all, bytes: 1e12 }, view: view(0) });
  await run.complete();
  run.session.setBudget({ splats: Math.ceil(all / 2), bytes: 1e12 });
  await run.until(({ scene }) => scene.drawn().count < all);
  for (const x of [-5, 5, 0]) {
    run.session.look(view(x));
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  run.session.setBudget({ splats: 10 * all, bytes: 1e12 });
  await run.until(({ scene }) => scene.drawn().count === all);
  expect(run.scene.drawn()).toEqual(await drawnOf(OTHER));
});

class MemoryDisk implements Disk {
  readonly files = new Map<string, Uint8Array>();

  async open(name: string): Promise<DiskFile> {
    const { files } = this;
    files.set(name, files.get(name) ?? new Uint8Array(0));
    return {
      get size() {
        return files.get(name)!.length;
      },
      read: (offset, length) => files.get(name)!.slice(offset, offset + length),
      write: (offset, bytes) => {
        const before = files.get(name)!;
        const after = new Uint8Array(Math.max(before.length, offset + bytes.length));
        after.set(before);
        after.set(bytes, offset);
        files.set(name, after);
      },
      close: () => {},
    };
  }

  async remove(name: string): Promise<void> {
    this.files.delete(name);
  }

  async list() {
    return [...this.files].map(([name, { length }]) => ({ name, size: length, writtenMs: 0 }));
  }
}

test('a scene on disk is not fetched again, and a damaged part of it is', async () => {
  const disk = new MemoryDisk();
  const { url, state } = await start(FILE);
  const request = { source: http(url), cacheKey: url };
  const host = { disk: async () => disk };
  const first = open(request, host);
  await first.complete();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const asked = state.log.length;

  const second = open(request, host);
  await second.complete();
  expect(second.scene.drawn()).toEqual(await drawnOf(FILE));
  await second.until(() => state.log.length > asked);
  expect(state.log.length - asked).toBe(1); // the head, to see that it is the same

  const [name, data] = [...disk.files].find(([file]) => file.endsWith('.data'))!;
  expect(data).toEqual(FILE);
  data[FILE.length - 20]! ^= 1;
  disk.files.set(name, data);
  const third = open(request, host);
  await third.complete();
  expect(third.scene.drawn()).toEqual(await drawnOf(FILE));

  state.file = OTHER;
  state.etag = '"two"';
  const fourth = open(request, host);
  await fourth.until(({ types }) => types.includes('changed'));
  await fourth.complete();
  expect(fourth.scene.drawn()).toEqual(await drawnOf(OTHER));
});

test('what comes again from disk and is damaged there is fetched, and kept anew', async () => {
  const disk = new MemoryDisk();
  const { url, state } = await start(OTHER);
  const all = (await drawnOf(OTHER)).count;
  const run = open(
    { source: http(url), cacheKey: url, budget: { splats: 10 * all, bytes: 1e12 } },
    { disk: async () => disk },
  );
  await run.complete();
  run.session.setBudget({ splats: Math.ceil(all / 2), bytes: 1e12 });
  await run.until(({ scene }) => scene.drawn().count < all);
  const asked = state.log.length;
  const [name, data] = [...disk.files].find(([file]) => file.endsWith('.data'))!;
  const damaged = data.map((byte) => byte ^ 1);
  disk.files.set(name, damaged);
  run.session.setBudget({ splats: 10 * all, bytes: 1e12 });
  await run.until(({ scene }) => scene.drawn().count === all);
  expect(run.scene.drawn()).toEqual(await drawnOf(OTHER));
  expect(state.log.length).toBeGreaterThan(asked);
  const kept = disk.files.get(name)!;
  expect(kept.filter((byte, at) => byte === OTHER[at]).length).toBeGreaterThan(0);
  expect(run.types).not.toContain('error');
});
