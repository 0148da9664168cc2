// The server's side of an exchange, as far as the recorded sessions need it: what it makes of the
// frames of a client, with the rules of spec/protocol.md.

import { readMap } from '../../src/bytes/msgpack.ts';
import { ErrorCode, FrameType, MAX_CREDIT_BYTES, MAX_NAME_BYTES } from '../../src/constants.ts';
import { ProtocolFault } from '../../src/wire/fault.ts';
import { FrameFields } from '../../src/wire/fields.ts';
import { FrameParser, type Frame } from '../../src/wire/frames.ts';
import { toHex } from '../../src/bytes/hash.ts';

const CLIENT_TYPES = new Set<number>([
  FrameType.HELLO,
  FrameType.VIEW,
  FrameType.CREDIT,
  FrameType.CANCEL,
  FrameType.WANT,
  FrameType.ERROR,
  FrameType.GOAWAY,
]);

/** What a server in state HELLO makes of these pieces of a stream. */
export function serverMakes(pieces: Iterable<Uint8Array>): object[] {
  const parser = new FrameParser(CLIENT_TYPES);
  const gives: object[] = [];
  let hasHello = false;
  try {
    for (const piece of pieces) {
      for (const frame of parser.feed(piece)) {
        if ((frame.type === FrameType.HELLO) === hasHello) throw new ProtocolFault('a wrong state');
        hasHello = true;
        gives.push(describe(frame));
      }
    }
    if (parser.pendingBytes > 0) throw new ProtocolFault('the stream ends inside a frame');
  } catch (error) {
    if (!(error instanceof ProtocolFault)) throw error;
    gives.push({ fault: error.code });
  }
  return gives;
}

function describe({ type, payload }: Frame): object {
  const map = readMap(payload);
  if (type === FrameType.HELLO) {
    const fields = FrameFields.read(payload, 'HELLO');
    return {
      frame: 'HELLO',
      versions: map.get('versions'),
      scene: fields.text('scene', MAX_NAME_BYTES),
      token: map.get('token') ?? null,
      credit: fields.integer('credit', 0, MAX_CREDIT_BYTES, ErrorCode.LIMIT),
      fragment: fields.nested('limits').integer('fragment', 1024, 2 ** 64),
      view: map.has('view') ? fields.nested('view').integer('serial', 1, 2 ** 32) : null,
      have: map.has('have') ? describeHave(fields.nested('have')) : null,
    };
  }
  if (type === FrameType.VIEW) {
    const fields = FrameFields.read(payload, 'VIEW');
    return {
      frame: 'VIEW',
      serial: fields.integer('serial', 1, 2 ** 32),
      viewmat: doubles(fields.binary('viewmat', 128, 128)),
      K: doubles(fields.binary('K', 72, 72)),
      size: map.get('size'),
    };
  }
  if (type === FrameType.CREDIT) {
    const fields = FrameFields.read(payload, 'CREDIT');
    return { frame: 'CREDIT', add: fields.integer('add', 1, MAX_CREDIT_BYTES, ErrorCode.LIMIT) };
  }
  throw new Error(`the recorded sessions have no frame of type ${type}`);
}

function describeHave(fields: FrameFields): object {
  const words = fields.binary('partial', 0, 8 * 4096);
  const view = new DataView(words.buffer, words.byteOffset, words.byteLength);
  return {
    hash: toHex(fields.binary('hash', 16, 16)),
    chunks: members(fields.binary('chunks', 0, 1 << 16)),
    pages: members(fields.binary('pages', 0, 1 << 16)),
    partial: Array.from({ length: words.length / 8 }, (_, i) => [
      view.getUint32(8 * i, true),
      view.getUint32(8 * i + 4, true),
    ]),
  };
}

function members(bitmap: Uint8Array): number[] {
  return [...bitmap].flatMap((byte, i) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte >> bit) & 1).map((bit) => 8 * i + bit),
  );
}

function doubles(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(8 * i, true));
}
