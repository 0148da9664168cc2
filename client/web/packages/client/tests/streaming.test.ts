// The streaming profile over a socket that plays recorded sessions.

import { afterEach, expect, test } from 'vitest';
import { ErrorCode, FrameType } from '../src/constants.ts';
import { decodeFile } from '../src/decoder.ts';
import type { Socket } from '../src/net/streaming.ts';
import { packFrame } from '../src/wire/frames.ts';
import { packError } from '../src/wire/messages.ts';
import { Run } from './support/run.ts';
import { readVector } from './support/samples.ts';
import { serve } from './support/server.ts';
import { serverMakes } from './support/server_side.ts';

const SOURCE = {
  kind: 'stream',
  url: 'ws://server/scenes/box/stream',
  scene: 'box',
  fileUrl: 'http://127.0.0.1:9/scenes/box.exgs',
  mayFallBack: false,
  sendsIfMatch: false,
} as const;

/** Answers HELLO by recorded bytes, then ends or stays. */
class Playing {
  binaryType: BinaryType = 'blob';
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  onerror: Socket['onerror'] = null;
  readonly sent: Uint8Array[] = [];
  closedWith: number | null = null;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly ends: boolean,
  ) {
    setTimeout(() => this.onopen?.call(this as never, new Event('open')), 1);
  }

  send(frame: Uint8Array): void {
    this.sent.push(frame.slice());
    if (this.sent.length > 1) return;
    for (let at = 0; at < this.bytes.length; at += 999) {
      const data = this.bytes.slice(at, at + 999).buffer;
      this.onmessage?.call(this as never, new MessageEvent('message', { data }));
    }
    if (this.ends) setTimeout(() => this.onclose?.call(this as never, new Event('close') as CloseEvent), 5);
  }

  close(code?: number): void {
    this.closedWith = code ?? 1005;
  }
}

const runs: Run[] = [];
afterEach(async () => {
  for (const run of runs.splice(0)) await run.dispose();
});

function play(...sessions: [bytes: Uint8Array, ends: boolean][]) {
  const sockets: Playing[] = [];
  const connect = (): Socket => {
    const socket = new Playing(...(sessions[sockets.length] ?? sessions[sessions.length - 1]!));
    sockets.push(socket);
    return socket as unknown as Socket;
  };
  const run = new Run({ source: SOURCE, token: 'secret' }, { connect });
  runs.push(run);
  return { run, sockets };
}

const recorded = (name: string): Uint8Array => readVector(`sessions/${name}.bin`);

test('a whole scene comes, and the client says goodbye', async () => {
  const { run, sockets } = play([recorded('whole'), false]);
  await run.complete();
  expect(run.scene.drawn().count).toBeGreaterThan(0);
  const [hello] = serverMakes(sockets[0]!.sent.slice(0, 1)) as [{ scene: string; token: string; have: null }];
  expect(hello).toMatchObject({ frame: 'HELLO', scene: 'box', token: 'secret', have: null });
  await run.dispose();
  expect(sockets[0]!.sent.at(-1)![0]).toBe(FrameType.GOAWAY);
  expect(sockets[0]!.closedWith).toBe(1000);
});

test('a client whose connection breaks goes on from what it has', async () => {
  const { run: whole } = play([recorded('whole'), false]);
  await whole.complete();
  const { run, sockets } = play([recorded('half'), true], [recorded('rest'), false]);
  await run.complete();
  expect(run.types).toContain('reconnecting');
  expect(run.scene.drawn()).toEqual(whole.scene.drawn());
  const [again] = serverMakes(sockets[1]!.sent.slice(0, 1)) as [{ have: { partial: unknown[] } }];
  expect(again.have.partial.length).toBe(1);
});

test('a part that comes damaged is said, and asked for over another connection', async () => {
  const { run } = play([recorded('damaged'), false], [recorded('whole'), false]);
  // The recording forgets what is held, which is a fault; here it only has to come that far.
  await run.until(({ types }) => types.includes('damaged') && types.includes('reconnecting'));
});

test('a server that goes away is waited for as long as it asks', async () => {
  const { run } = play([recorded('goaway'), true], [recorded('whole'), false]);
  const startMs = performance.now();
  await run.complete();
  expect(performance.now() - startMs).toBeGreaterThan(1400);
  const said = run.reports.find((report) => report.type === 'reconnecting');
  expect(said).toMatchObject({ waitS: 1.5 });
});

test('what the server refuses ends the scene', async () => {
  const { run } = play([recorded('refused'), true]);
  await expect(run.complete()).rejects.toThrow('no such scene');
  const unauthorized = packError({ code: ErrorCode.UNAUTHORIZED, message: 'no', fatal: true });
  const { run: other } = play([packFrame(FrameType.ERROR, unauthorized), true]);
  await expect(other.complete()).rejects.toThrow('token');
});

test('where no stream can be opened the file is read by ranges, if that may be', async () => {
  const file = readVector('valid/full.exgs');
  const server = await serve(file);
  const connect = (): Socket => {
    const socket = new Playing(new Uint8Array(0), false);
    socket.onopen = null;
    setTimeout(() => socket.onclose?.call(socket as never, new Event('close') as CloseEvent), 1);
    return socket as unknown as Socket;
  };
  const run = new Run({ source: { ...SOURCE, fileUrl: server.url, mayFallBack: true } }, { connect });
  runs.push(run);
  await run.complete();
  expect(run.scene.drawn()).toEqual((await decodeFile(file)).scene.drawn());
  await server.close();
  const other = new Run({ source: SOURCE }, { connect });
  runs.push(other);
  await expect(other.complete()).rejects.toThrow('connect');
});

test('a scene that has changed is dropped and read anew', async () => {
  const changed = packError({ code: ErrorCode.SCENE_CHANGED, message: 'it has', fatal: true });
  const { run, sockets } = play(
    [recorded('half'), true],
    [packFrame(FrameType.ERROR, changed), true],
    [recorded('whole'), false],
  );
  await run.complete();
  expect(run.types).toContain('changed');
  const [hello] = serverMakes(sockets[2]!.sent.slice(0, 1)) as [{ have: null }];
  expect(hello.have).toBeNull();
});
