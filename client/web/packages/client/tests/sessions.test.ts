// The recorded exchanges of spec/vectors/sessions: the same events however the bytes are cut.

import { expect, test } from 'vitest';
import { toHex } from '../src/bytes/hash.ts';
import { ClientSession, type PartialParts, type SessionEvent } from '../src/wire/session.ts';
import { ProtocolFault } from '../src/wire/fault.ts';
import { FormatError } from '../src/errors.ts';
import { quietReceiver } from './support/receiver.ts';
import { readJson, readVector } from './support/samples.ts';
import { randomFrom } from './support/random.ts';
import { serverMakes } from './support/server_side.ts';

interface RecordedSession {
  readonly name: string;
  readonly says: string;
  readonly receiver: 'client' | 'server';
  readonly gives: readonly object[];
  readonly held?: string;
}

const CREDIT = 1 << 20;

function* cut(data: Uint8Array, size: number): Iterable<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

async function clientMakes(data: Uint8Array, size: number, held?: Uint8Array): Promise<object[]> {
  const receiver = quietReceiver();
  const partial: PartialParts = new Map();
  if (held) {
    const before = new ClientSession('box', receiver, partial, { credit: CREDIT });
    await before.receive(held, () => {});
  }
  const session = new ClientSession('box', receiver, partial, { credit: CREDIT });
  const gives: object[] = [];
  try {
    for (const piece of cut(data, size)) {
      await session.receive(piece, (event) => gives.push(describe(event)));
    }
    session.end();
  } catch (error) {
    if (!(error instanceof ProtocolFault)) throw error;
    gives.push({ fault: error.code });
  }
  return gives;
}

function describe(event: SessionEvent): object {
  if ('whole' in event) return { whole: event.whole, id: event.id };
  switch (event.frame) {
    case 'WELCOME':
      return {
        frame: 'WELCOME',
        version: event.version,
        hash: toHex(event.hash),
        resumed: event.resumed,
      };
    case 'CHUNK': {
      const { part, offset, data, serial } = event;
      return { frame: 'CHUNK', part, offset, bytes: data.length, serial };
    }
    case 'ERROR': {
      const { code, message, fatal } = event;
      return { frame: 'ERROR', code, message, fatal };
    }
    case 'GOAWAY': {
      const { code, message, retryAfterS } = event;
      return { frame: 'GOAWAY', code, message, retry_after: retryAfterS };
    }
  }
}

for (const record of readJson<RecordedSession[]>('sessions/index.json')) {
  for (const size of [Infinity, 1, 7, 1000]) {
    test(`${record.name} in pieces of ${size}: ${record.says}`, async () => {
      const data = readVector(`sessions/${record.name}.bin`);
      const held = record.held ? readVector(`sessions/${record.held}.bin`) : undefined;
      const pieces = Number.isFinite(size) ? size : data.length;
      const gives =
        record.receiver === 'client'
          ? await clientMakes(data, pieces, held)
          : serverMakes(cut(data, pieces));
      expect(gives).toEqual(record.gives);
    });
  }
}

test('changed bytes of a server give typed errors and nothing else', async () => {
  const random = randomFrom(9);
  const data = readVector('sessions/whole.bin');
  for (let i = 0; i < 300; i++) {
    const changed = data.slice();
    const end = random() < 0.5 ? 2500 : data.length;
    for (let k = 0; k <= random() * 3; k++) changed[Math.floor(random() * end)]! ^= 1 << (random() * 8);
    const session = new ClientSession('box', quietReceiver(), new Map(), { credit: CREDIT });
    try {
      await session.receive(changed, () => {});
      session.end();
    } catch (error) {
      if (!(error instanceof FormatError)) expect(error).toBeInstanceOf(ProtocolFault);
    }
  }
});
