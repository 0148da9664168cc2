// The streaming profile: one WebSocket, and a ClientSession that interprets its bytes.

import { ErrorCode, WEBSOCKET_CLOSE_BASE } from '../constants.ts';
import type { Receiver } from '../flow/receiver.ts';
import type { Revision } from '../flow/residency.ts';
import type { View } from '../update.ts';
import { isDamage, ProtocolFault } from '../wire/fault.ts';
import { ClientSession, type PartialParts, type SessionEvent } from '../wire/session.ts';
import { Bell, nowS, sleep } from './clock.ts';
import { ConnectionLostError, SceneChangedError, StreamError } from './errors.ts';
import type { Throttle } from './throttle.ts';

const WINDOW_BYTES = 8 << 20; // what may be on its way: more than any link holds
const CONNECT_S = 10;
const SILENCE_S = 45; // the server pings every 30 s, which a page does not see

/** Faults that another connection may not meet. */
const RETRYABLE = new Set<number>([
  ErrorCode.BUSY,
  ErrorCode.DAMAGED,
  ErrorCode.INTERNAL,
  ErrorCode.SHUTDOWN,
  ErrorCode.SLOW_READER,
  ErrorCode.TIMEOUT,
]);

/** What of a WebSocket is used; a test may bring its own. */
export type Socket = Pick<WebSocket, 'binaryType' | 'onopen' | 'onmessage' | 'onclose' | 'onerror' | 'send' | 'close'>;

/** What a streaming transport works with. */
export interface StreamingOptions {
  readonly url: string;
  readonly scene: string;
  readonly token: string | null;
  readonly throttle: Throttle;
  readonly connect?: (url: string) => Socket;
  /** Called with each part that has passed its checks, the head first. */
  readonly keep: (offset: number, bytes: Uint8Array) => void;
}

/** Receives a scene from .../scenes/NAME/stream; reconnects and resumes with what it has. */
export class StreamingTransport {
  private readonly partial: PartialParts = new Map();
  private session: ClientSession | null = null;
  private socket: Socket | null = null;
  private sentView: View | null = null;

  constructor(
    private readonly receiver: Receiver,
    private readonly options: StreamingOptions,
  ) {}

  /** The view may have changed: it is sent to the server. */
  wake(): void {
    const { view } = this.receiver;
    if (this.session && !this.session.isClosed && view && view !== this.sentView) {
      this.sentView = view;
      this.session.sendView(view);
      this.flush();
    }
  }

  /** Sends the server what fits into the budget. */
  revised(revision: Revision): void {
    const { session } = this;
    if (session?.state !== 'STREAM') return;
    session.sendCancel(revision.leaveOut);
    session.sendWant(revision.takeIn, false);
    session.sendWant(revision.fetchAgain, true);
    this.flush();
  }

  /** Receives until `signal` is aborted; raises StreamError, FormatError. */
  async run(signal: AbortSignal): Promise<void> {
    const { url, scene, token, connect = (target) => new WebSocket(target) } = this.options;
    this.sentView = this.receiver.view;
    const session = new ClientSession(scene, this.receiver, this.partial, {
      credit: this.moreCredit(0),
      token,
      view: this.sentView,
    });
    const socket = connect(url);
    socket.binaryType = 'arraybuffer';
    const inbox = new Inbox(socket, signal, () => this.receiver.isSettled);
    try {
      await inbox.opened;
      this.session = session;
      this.socket = socket;
      this.flush();
      this.wake();
      for (;;) {
        const data = await inbox.next();
        if (!data) break;
        await this.take(session, data, signal);
        const more = this.moreCredit(session.credit);
        if (more > 0 && !session.isClosed) session.sendCredit(more);
        this.flush();
      }
      session.end();
      throw new ConnectionLostError('the server closed the connection');
    } catch (error) {
      throw this.named(error);
    } finally {
      if (signal.aborted) session.sendGoAway();
      this.flush();
      this.session = this.socket = null;
      inbox.close(session.isClosed ? 1000 : WEBSOCKET_CLOSE_BASE + ErrorCode.PROTOCOL);
    }
  }

  private async take(session: ClientSession, data: Uint8Array, signal: AbortSignal): Promise<void> {
    this.receiver.receivedBytes += data.length;
    const delay = this.options.throttle.delay(data.length, nowS());
    if (delay > 0) await sleep(delay, signal);
    await session.receive(data, (event) => this.handle(event));
  }

  private handle(event: SessionEvent): void {
    if ('whole' in event) {
      this.options.keep(event.ref.offset, event.bytes);
      return;
    }
    switch (event.frame) {
      case 'WELCOME':
        if (!event.resumed) this.options.keep(0, event.head);
        this.receiver.reviseAnew();
        return;
      case 'GOAWAY':
        throw new ConnectionLostError(`the server goes away: ${event.message}`, event.retryAfterS);
      case 'ERROR':
        if (event.fatal) throw refused(event.code, event.message);
    }
  }

  private moreCredit(outstanding: number): number {
    const window = Math.min(WINDOW_BYTES, this.options.throttle.window);
    const more = Math.floor(window - outstanding);
    return more >= window / 4 ? more : 0;
  }

  private flush(): void {
    for (const frame of this.session?.dataToSend() ?? []) this.socket?.send(frame as Uint8Array<ArrayBuffer>);
  }

  private named(error: unknown): unknown {
    if (isDamage(error)) {
      this.receiver.listener.damaged((error.cause as { section: string }).section, null);
      return new ConnectionLostError(error.message, 0, { cause: error });
    }
    if (error instanceof ProtocolFault) return new StreamError(error.message, 0, { cause: error });
    return error;
  }
}

function refused(code: number, message: string): StreamError {
  if (code === ErrorCode.SCENE_CHANGED) return new SceneChangedError();
  if (code === ErrorCode.UNAUTHORIZED) {
    return new StreamError('the server asks for a token, or refuses the one that it was given', 401);
  }
  if (code === ErrorCode.NOT_FOUND) return new StreamError('there is no such scene on the server', 404);
  if (RETRYABLE.has(code)) return new ConnectionLostError(`the server says: ${message}`);
  return new StreamError(`the server says: ${message}`);
}

/** Messages of a socket, one by one, with an end for silence. */
class Inbox {
  readonly opened: Promise<void>;
  private readonly messages: Uint8Array[] = [];
  private readonly news = new Bell();
  private fault: Error | null = null;
  private isOver = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly abort = (): void => this.fail(this.signal.reason as Error);

  constructor(
    private readonly socket: Socket,
    private readonly signal: AbortSignal,
    /** Whether the server has nothing more to send. */
    private readonly isIdle: () => boolean,
  ) {
    signal.addEventListener('abort', this.abort, { once: true });
    this.expect(CONNECT_S);
    let isOpen = false;
    this.opened = (async () => {
      while (!isOpen && !this.fault && !this.isOver) await this.news.rung;
      if (this.fault) throw this.fault;
      if (!isOpen) throw new ConnectionLostError("can't connect to the stream");
    })();
    socket.onopen = () => {
      isOpen = true;
      this.expect(SILENCE_S);
      this.news.strike();
    };
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (data instanceof ArrayBuffer) this.messages.push(new Uint8Array(data));
      else this.fail(new StreamError('the server sends text where bytes belong'));
      this.expect(SILENCE_S);
      this.news.strike();
    };
    socket.onerror = () => {}; // `close` follows
    socket.onclose = () => {
      this.isOver = true;
      this.news.strike();
    };
  }

  /** The next message; null at the end. */
  async next(): Promise<Uint8Array | null> {
    for (;;) {
      const message = this.messages.shift();
      if (message) return message;
      if (this.fault) throw this.fault;
      if (this.isOver) return null;
      await this.news.rung;
    }
  }

  close(code: number): void {
    clearTimeout(this.timer);
    this.signal.removeEventListener('abort', this.abort);
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close(code);
  }

  private expect(seconds: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.isIdle()) this.expect(seconds);
      else this.fail(new ConnectionLostError('nothing came for a while'));
    }, seconds * 1000);
  }

  private fail(fault: Error): void {
    this.fault ??= fault;
    this.news.strike();
  }
}
