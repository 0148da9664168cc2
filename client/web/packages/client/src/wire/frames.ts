// Frames: an 8-byte head and a payload, however the stream is cut (spec/protocol.md, section 5).
// A frame is refused by its head alone, and never more than one is held.

import {
  CHUNK_HEAD_BYTES,
  ErrorCode,
  FRAME_HEAD_BYTES,
  FrameType,
  IGNORABLE_FRAME_TYPE,
  MAX_CONTROL_BYTES,
  MAX_FRAGMENT_BYTES,
  MAX_HELLO_BYTES,
  MAX_WELCOME_BYTES,
} from '../constants.ts';
import { ProtocolFault } from './fault.ts';

/** One frame as it travels. */
export interface Frame {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** The bytes of one frame. */
export function packFrame(type: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEAD_BYTES + payload.length);
  frame[0] = type;
  new DataView(frame.buffer).setUint32(4, payload.length, true);
  frame.set(payload, FRAME_HEAD_BYTES);
  return frame;
}

/** The longest payload of a frame type. */
export function payloadLimit(type: number): number {
  if (type === FrameType.HELLO) return MAX_HELLO_BYTES;
  if (type === FrameType.WELCOME) return MAX_WELCOME_BYTES;
  if (type === FrameType.CHUNK) return CHUNK_HEAD_BYTES + MAX_FRAGMENT_BYTES;
  return MAX_CONTROL_BYTES;
}

/** Cuts a byte stream into frames. */
export class FrameParser {
  private buffer = new Uint8Array(0);

  constructor(
    /** Types that may come. */
    private readonly expected: ReadonlySet<number>,
  ) {}

  /** Bytes of a frame that is not whole yet. */
  get pendingBytes(): number {
    return this.buffer.length;
  }

  /** The frames that `data` completes; raises ProtocolFault, after which nothing can be parsed. */
  *feed(data: Uint8Array): Iterable<Frame> {
    if (this.buffer.length > 0) {
      const joined = new Uint8Array(this.buffer.length + data.length);
      joined.set(this.buffer);
      joined.set(data, this.buffer.length);
      this.buffer = joined;
    } else this.buffer = data.slice();
    while (this.buffer.length >= FRAME_HEAD_BYTES) {
      const { type, length, isKnown } = this.head();
      const end = FRAME_HEAD_BYTES + length;
      if (this.buffer.length < end) return;
      const payload = this.buffer.subarray(FRAME_HEAD_BYTES, end);
      this.buffer = this.buffer.subarray(end);
      if (isKnown) yield { type, payload };
    }
  }

  private head(): { type: number; length: number; isKnown: boolean } {
    const view = new DataView(this.buffer.buffer, this.buffer.byteOffset, FRAME_HEAD_BYTES);
    const type = view.getUint8(0);
    const length = view.getUint32(4, true);
    if (view.getUint8(1) !== 0 || view.getUint16(2, true) !== 0) {
      throw new ProtocolFault(`frame type ${type}: unknown flags are set`);
    }
    const isKnown = type < IGNORABLE_FRAME_TYPE;
    if (isKnown && !this.expected.has(type)) {
      throw new ProtocolFault(`frame type ${type} is not expected here`);
    }
    const limit = isKnown ? payloadLimit(type) : MAX_CONTROL_BYTES;
    if (length > limit) {
      throw new ProtocolFault(`a frame of ${length} bytes, the limit is ${limit}`, ErrorCode.LIMIT);
    }
    return { type, length, isKnown };
  }
}
