// The client's side of an exchange (spec/protocol.md, section 7): states, credit, fragments that
// become parts. Knows no socket and no clock. Events in front of a fault are handed out first.

import {
  ErrorCode,
  FrameType,
  MAX_CREDIT_BYTES,
  MAX_FRAGMENT_BYTES,
  MAX_PART_LIST,
  PROTOCOL_VERSION,
} from '../constants.ts';
import { sameBytes } from '../bytes/hash.ts';
import { FormatError, UnsupportedError } from '../errors.ts';
import { isPage, pageId, partName, type PartRef } from '../flow/parts.ts';
import type { Receiver } from '../flow/receiver.ts';
import { checkHash } from '../format/frame.ts';
import { readHead, type FileHead } from '../format/head.ts';
import type { View } from '../update.ts';
import { ProtocolFault } from './fault.ts';
import { FrameParser, packFrame, type Frame } from './frames.ts';
import {
  packCancel,
  packCredit,
  packError,
  packGoAway,
  packHello,
  packView,
  packWant,
  readError,
  readFragment,
  readGoAway,
  readWelcome,
  type Fragment,
  type GoAway,
  type HaveSet,
  type Limits,
  type RemoteError,
  type Welcome,
} from './messages.ts';

/** What came of the bytes of the server. */
export type SessionEvent =
  | ({ readonly frame: 'WELCOME' } & Welcome)
  | ({ readonly frame: 'CHUNK' } & Fragment)
  | { readonly whole: 'chunk' | 'page'; readonly id: number; readonly ref: PartRef; readonly bytes: Uint8Array }
  | ({ readonly frame: 'ERROR' } & RemoteError)
  | ({ readonly frame: 'GOAWAY' } & GoAway);

type State = 'WELCOME' | 'STREAM' | 'CLOSED';

const RECEIVED: Readonly<Record<State, readonly number[]>> = {
  WELCOME: [FrameType.WELCOME, FrameType.ERROR, FrameType.GOAWAY],
  STREAM: [FrameType.CHUNK, FrameType.ERROR, FrameType.GOAWAY],
  CLOSED: [],
};
const EXPECTED = new Set(Object.values(RECEIVED).flat());
const AGENT = 'exgs web';
const FACTS: Limits = { fragment: MAX_FRAGMENT_BYTES, credit: MAX_CREDIT_BYTES };

/** The first bytes of parts, which outlive an exchange. */
export type PartialParts = Map<number, { readonly bytes: Uint8Array; length: number }>;

/** One exchange about one scene; its HELLO is ready to be sent at once. */
export class ClientSession {
  state: State = 'WELCOME';
  /** Data bytes that the server may still send. */
  credit: number;

  private readonly parser = new FrameParser(EXPECTED);
  private outgoing: Uint8Array[] = [];
  private limits = FACTS;
  private serial = 0;

  constructor(
    scene: string,
    private readonly receiver: Receiver,
    private readonly partial: PartialParts,
    options: { credit: number; token?: string | null; view?: View | null },
  ) {
    this.credit = options.credit;
    const view = options.view ? { serial: ++this.serial, view: options.view } : null;
    const hello = {
      scene,
      agent: AGENT,
      token: options.token ?? null,
      limits: FACTS,
      credit: options.credit,
      view,
      have: this.have(),
    };
    this.send(FrameType.HELLO, packHello(hello));
  }

  get isClosed(): boolean {
    return this.state === 'CLOSED';
  }

  /**
   * Takes bytes of the stream, in any cuts; gives each event to `handle` before it goes on. Raises
   * ProtocolFault, once what is in front of the fault has been handled.
   */
  async receive(data: Uint8Array, handle: (event: SessionEvent) => void): Promise<void> {
    if (this.isClosed) return;
    try {
      for (const frame of this.parser.feed(data)) {
        if (!RECEIVED[this.state].includes(frame.type)) {
          throw new ProtocolFault(`frame type ${frame.type} is not allowed in ${this.state}`);
        }
        await this.frame(frame, handle);
        if (this.isClosed) return;
      }
    } catch (error) {
      if (error instanceof ProtocolFault) this.fail(error);
      throw error;
    }
  }

  /** The transport has ended; raises ProtocolFault where that cuts a frame. */
  end(): void {
    const isCut = this.parser.pendingBytes > 0 && !this.isClosed;
    this.state = 'CLOSED';
    if (isCut) throw new ProtocolFault('the stream ends inside a frame');
  }

  /** What is to be sent, one WebSocket message each. */
  dataToSend(): Uint8Array[] {
    const { outgoing } = this;
    this.outgoing = [];
    return outgoing;
  }

  sendView(view: View): void {
    this.send(FrameType.VIEW, packView(++this.serial, view));
  }

  sendCredit(add: number): void {
    this.credit += add;
    this.send(FrameType.CREDIT, packCredit(add));
  }

  sendCancel(parts: readonly number[]): void {
    for (const some of batches(parts)) this.send(FrameType.CANCEL, packCancel(some));
  }

  /** Takes cancels back; with `again` the chunks, which were whole, come anew. */
  sendWant(parts: readonly number[], again: boolean): void {
    for (const some of batches(parts)) this.send(FrameType.WANT, packWant(some, again));
  }

  sendGoAway(): void {
    if (this.isClosed) return;
    this.send(FrameType.GOAWAY, packGoAway(''));
    this.state = 'CLOSED';
  }

  private have(): HaveSet | null {
    const { head, plan } = this.receiver;
    if (!head || !plan) return null;
    const held = [...this.partial].filter(([, { length }]) => length > 0);
    held.sort(([, a], [, b]) => b.length - a.length);
    const partial = held.slice(0, MAX_PART_LIST).map(([part, { length }]) => [part, length] as const);
    return {
      hash: head.sceneHash,
      chunks: this.receiver.chunks,
      pages: head.root.pages.map(({ id }) => id).filter((id) => plan.table.hasPage(id)),
      partial: new Map(partial),
    };
  }

  private async frame(frame: Frame, handle: (event: SessionEvent) => void): Promise<void> {
    switch (frame.type) {
      case FrameType.WELCOME: {
        const welcome = readWelcome(frame.payload);
        await this.welcome(welcome);
        handle({ frame: 'WELCOME', ...welcome });
        return;
      }
      case FrameType.CHUNK:
        return this.fragment(readFragment(frame.payload), handle);
      case FrameType.ERROR: {
        const error = readError(frame.payload);
        if (error.fatal) this.state = 'CLOSED';
        handle({ frame: 'ERROR', ...error });
        return;
      }
      default: {
        const goAway = readGoAway(frame.payload);
        this.state = 'CLOSED';
        handle({ frame: 'GOAWAY', ...goAway });
      }
    }
  }

  private async welcome(welcome: Welcome): Promise<void> {
    const held = this.receiver.head;
    if (welcome.resumed && !held) throw new ProtocolFault('WELCOME: nothing was to be resumed');
    const head = welcome.resumed && held ? held : await this.readHead(welcome.head);
    if (!sameBytes(head.sceneHash, welcome.hash)) {
      throw new ProtocolFault('WELCOME: the hash is not that of the head', ErrorCode.DAMAGED);
    }
    if (welcome.version !== PROTOCOL_VERSION) {
      throw new ProtocolFault(`WELCOME: version ${welcome.version} was not offered`, ErrorCode.VERSION);
    }
    if (held && !welcome.resumed) throw new ProtocolFault('WELCOME: the server forgets what is held');
    this.limits = {
      fragment: Math.min(FACTS.fragment, welcome.limits.fragment),
      credit: Math.min(FACTS.credit, welcome.limits.credit),
    };
    this.credit = Math.min(this.credit, this.limits.credit);
    this.state = 'STREAM';
    this.receiver.open(head);
  }

  private async readHead(bytes: Uint8Array): Promise<FileHead> {
    let head: FileHead;
    try {
      head = await readHead(bytes);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      const code = error instanceof UnsupportedError ? ErrorCode.VERSION : ErrorCode.DAMAGED;
      throw new ProtocolFault(`WELCOME: head: ${error.message}`, code, { cause: error });
    }
    if (head.bytes.length !== bytes.length) {
      throw new ProtocolFault('WELCOME: head: bytes follow the root index', ErrorCode.DAMAGED);
    }
    return head;
  }

  private async fragment(fragment: Fragment, handle: (event: SessionEvent) => void): Promise<void> {
    const { part, offset, data } = fragment;
    const ref = this.ref(part);
    if (data.length > this.credit) {
      throw new ProtocolFault(`${partName(part)}: more was sent than credit was given`, ErrorCode.CREDIT);
    }
    if (data.length > this.limits.fragment) {
      throw new ProtocolFault(`${partName(part)}: a fragment of ${data.length} bytes`, ErrorCode.LIMIT);
    }
    let held = this.partial.get(part);
    if (!held) {
      held = { bytes: new Uint8Array(ref.packedBytes), length: 0 };
      this.partial.set(part, held);
    }
    if (offset !== held.length || offset + data.length > ref.packedBytes) {
      throw new ProtocolFault(
        `${partName(part)}: bytes from ${offset} on, ${held.length} of ${ref.packedBytes} are here`,
      );
    }
    this.credit -= data.length;
    held.bytes.set(data, offset);
    held.length += data.length;
    if (held.length === ref.packedBytes) {
      this.partial.delete(part);
      await this.complete(part, ref, held.bytes, fragment, handle);
    } else handle({ frame: 'CHUNK', ...fragment });
  }

  private async complete(
    part: number,
    ref: PartRef,
    bytes: Uint8Array,
    fragment: Fragment,
    handle: (event: SessionEvent) => void,
  ): Promise<void> {
    try {
      await checkHash(ref, bytes);
      if (isPage(part)) {
        this.receiver.addPage(this.receiver.head!.root.pages[pageId(part) - 1]!, bytes);
      }
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw new ProtocolFault(error.message, ErrorCode.DAMAGED, { cause: error });
    }
    handle({ frame: 'CHUNK', ...fragment });
    if (isPage(part)) handle({ whole: 'page', id: pageId(part), ref, bytes });
    else {
      const row = this.receiver.plan!.table.row(part)!;
      for (const fault of this.receiver.addChunk(row, bytes)) throw fault.error;
      handle({ whole: 'chunk', id: part, ref, bytes });
    }
  }

  /** The place of a part that the server may send now. */
  private ref(part: number): PartRef {
    const { plan } = this.receiver;
    const ref = plan?.ref(part);
    const isHere = isPage(part) ? plan?.table.hasPage(pageId(part)) : this.receiver.has(part);
    if (!ref || isHere) throw new ProtocolFault(`${partName(part)} is unknown or was sent before`);
    return ref;
  }

  private send(type: number, payload: Uint8Array): void {
    if (!this.isClosed) this.outgoing.push(packFrame(type, payload));
  }

  private fail(fault: ProtocolFault): void {
    this.send(FrameType.ERROR, packError({ code: fault.code, message: fault.message, fatal: true }));
    this.state = 'CLOSED';
  }
}

function* batches(parts: readonly number[]): Iterable<readonly number[]> {
  for (let i = 0; i < parts.length; i += MAX_PART_LIST) yield parts.slice(i, i + MAX_PART_LIST);
}
