// Payloads of frames (spec/protocol.md, section 6): written for the client, read for the server.

import { writeValue, type Writable } from '../bytes/msgpack_write.ts';
import {
  CHUNK_HEAD_BYTES,
  ErrorCode,
  HASH_BYTES,
  MAX_CREDIT_BYTES,
  MAX_FRAGMENT_BYTES,
  MAX_MESSAGE_BYTES,
  MIN_FRAGMENT_BYTES,
  PROTOCOL_VERSION,
} from '../constants.ts';
import type { View } from '../update.ts';
import { ProtocolFault } from './fault.ts';
import { FrameFields } from './fields.ts';

const MAX_UINT = 2 ** 64;
const MOST_WAIT_S = 86400;

/** What one side agrees to take. */
export interface Limits {
  /** Data in one CHUNK frame. */
  readonly fragment: number;
  /** Credit that may be outstanding. */
  readonly credit: number;
}

/** What a client holds of one file. */
export interface HaveSet {
  readonly hash: Uint8Array;
  readonly chunks: Iterable<number>;
  readonly pages: Iterable<number>;
  /** Part to bytes held from its front. */
  readonly partial: ReadonlyMap<number, number>;
}

/** The client's first frame. */
export interface Hello {
  readonly scene: string;
  readonly agent: string;
  readonly token: string | null;
  readonly limits: Limits;
  readonly credit: number;
  readonly view: { readonly serial: number; readonly view: View } | null;
  readonly have: HaveSet | null;
}

/** The server's first frame. */
export interface Welcome {
  readonly version: number;
  readonly hash: Uint8Array;
  readonly limits: Limits;
  readonly resumed: boolean;
  readonly head: Uint8Array;
}

/** Consecutive bytes of one part. */
export interface Fragment {
  readonly part: number;
  readonly offset: number;
  readonly serial: number;
  readonly data: Uint8Array;
}

/** What went wrong on the other side. */
export interface RemoteError {
  readonly code: number;
  readonly message: string;
  readonly fatal: boolean;
}

/** The other side is about to close. */
export interface GoAway {
  readonly code: number;
  readonly message: string;
  readonly retryAfterS: number;
}

/** The payload of HELLO. */
export function packHello(hello: Hello): Uint8Array {
  const fields: Record<string, Writable> = {
    versions: [PROTOCOL_VERSION],
    scene: hello.scene,
    agent: hello.agent,
    limits: { ...hello.limits },
    credit: hello.credit,
  };
  if (hello.token !== null) fields.token = hello.token;
  if (hello.view) fields.view = viewMap(hello.view.serial, hello.view.view);
  if (hello.have) {
    const partial = [...hello.have.partial].sort(([a], [b]) => a - b);
    fields.have = {
      hash: hello.have.hash,
      chunks: packBitmap(hello.have.chunks),
      pages: packBitmap(hello.have.pages),
      partial: packWords(partial.flat()),
    };
  }
  return writeValue(fields);
}

/** The payload of VIEW. */
export function packView(serial: number, view: View): Uint8Array {
  return writeValue(viewMap(serial, view));
}

/** The payload of CREDIT. */
export function packCredit(add: number): Uint8Array {
  return writeValue({ add });
}

/** The payload of CANCEL. */
export function packCancel(parts: readonly number[]): Uint8Array {
  return writeValue({ parts: packWords(parts) });
}

/** The payload of WANT. */
export function packWant(parts: readonly number[], again: boolean): Uint8Array {
  return writeValue({ parts: packWords(parts), again });
}

/** The payload of ERROR. */
export function packError(error: RemoteError): Uint8Array {
  return writeValue({ code: error.code, message: error.message.slice(0, 256), fatal: error.fatal });
}

/** The payload of GOAWAY. */
export function packGoAway(message: string): Uint8Array {
  return writeValue({ code: ErrorCode.NONE, message, retry_after: 0 });
}

/** Reads WELCOME; raises ProtocolFault. */
export function readWelcome(payload: Uint8Array): Welcome {
  const fields = FrameFields.read(payload, 'WELCOME');
  return {
    version: fields.integer('version', 0, MAX_UINT),
    hash: fields.binary('hash', HASH_BYTES, HASH_BYTES).slice(),
    limits: readLimits(fields.nested('limits')),
    resumed: fields.boolean('resumed'),
    head: fields.binary('head', 0, payload.length).slice(),
  };
}

/** Reads ERROR; raises ProtocolFault. */
export function readError(payload: Uint8Array): RemoteError {
  const fields = FrameFields.read(payload, 'ERROR');
  return {
    code: fields.integer('code', 0, MAX_UINT),
    message: fields.text('message', MAX_MESSAGE_BYTES),
    fatal: fields.boolean('fatal'),
  };
}

/** Reads GOAWAY; raises ProtocolFault. */
export function readGoAway(payload: Uint8Array): GoAway {
  const fields = FrameFields.read(payload, 'GOAWAY');
  return {
    code: fields.integer('code', 0, MAX_UINT),
    message: fields.text('message', MAX_MESSAGE_BYTES),
    retryAfterS: fields.number('retry_after', 0, MOST_WAIT_S),
  };
}

/** Reads CHUNK; raises ProtocolFault. */
export function readFragment(payload: Uint8Array): Fragment {
  if (payload.length <= CHUNK_HEAD_BYTES) {
    throw new ProtocolFault(`CHUNK: ${payload.length} bytes hold no data`);
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return {
    part: view.getUint32(0, true),
    offset: view.getUint32(4, true),
    serial: view.getUint32(8, true),
    data: payload.subarray(CHUNK_HEAD_BYTES),
  };
}

function readLimits(fields: FrameFields): Limits {
  const fragment = fields.integer('fragment', MIN_FRAGMENT_BYTES, MAX_UINT);
  const credit = fields.integer('credit', 0, MAX_CREDIT_BYTES, ErrorCode.LIMIT);
  return { fragment: Math.min(fragment, MAX_FRAGMENT_BYTES), credit };
}

function viewMap(serial: number, view: View): Record<string, Writable> {
  return {
    serial,
    viewmat: packDoubles(view.viewmat),
    K: packDoubles(view.K),
    size: [Math.max(Math.round(view.width), 1), Math.max(Math.round(view.height), 1)],
  };
}

function packDoubles(values: ArrayLike<number>): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 * values.length));
  for (let i = 0; i < values.length; i++) view.setFloat64(8 * i, values[i]!, true);
  return new Uint8Array(view.buffer);
}

function packWords(values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, index) => view.setUint32(4 * index, value, true));
  return new Uint8Array(view.buffer);
}

/** Bit i mod 8 of byte i / 8 is set for each member i; no zero bytes at the end. */
function packBitmap(members: Iterable<number>): Uint8Array {
  const list = [...members];
  const bitmap = new Uint8Array(list.reduce((most, member) => Math.max(most, (member >> 3) + 1), 0));
  for (const member of list) bitmap[member >> 3]! |= 1 << (member & 7);
  return bitmap;
}
