// One scene in the worker: connects, waits and connects anew, paces updates, keeps the budget.

import { ExgsError, FormatError } from '../errors.ts';
import type { Header } from '../format/header.ts';
import { RangeReader } from '../flow/ranges.ts';
import { Receiver } from '../flow/receiver.ts';
import { NO_REVISION, type Budget, type Revision } from '../flow/residency.ts';
import { Backoff } from '../net/backoff.ts';
import { nowS, sleep } from '../net/clock.ts';
import { ConnectionLostError, SceneChangedError, StreamError } from '../net/errors.ts';
import { fetchFrom, type Answer } from '../net/http.ts';
import { LocalTransport, readBlob, readBytes, type ReadRange } from '../net/local.ts';
import { StaticTransport } from '../net/static.ts';
import { StreamingTransport, type Socket } from '../net/streaming.ts';
import { Throttle } from '../net/throttle.ts';
import type { View } from '../update.ts';
import type { Disk } from '../disk/store.ts';
import { Keeper } from './keeper.ts';
import type { Report, Request, SentError, WorkerSource } from './messages.ts';

const FLUSH_S = 0.03; // between updates
const REVISE_S = 0.2; // between changes of what is held for a budget
const MOST_UNTAKEN = 2; // updates that the page has not taken yet

/** Brings parts to a receiver until it is aborted. */
interface Transport {
  run(signal: AbortSignal): Promise<void>;
  /** The view has changed, or something is wanted now that was not. */
  wake(): void;
  /** Other chunks are to be fetched than before. */
  revised(revision: Revision): void;
}

type OpenRequest = Extract<Request, { type: 'open' }>;

/** What a session needs from the worker it runs in. */
export interface Host {
  report(report: Report, transfer?: Transferable[]): void;
  /** Reads a range that only the page can read. */
  readonly read: ReadRange;
  /** The answer to a request that the page made before, where there is one. */
  readonly first: Promise<Answer> | null;
  /** Where parts are kept for the next visit; null where they cannot be. */
  readonly disk: () => Promise<Disk | null>;
  /** Opens a WebSocket; by default that of the browser. */
  readonly connect?: (url: string) => Socket;
}

/** Runs one scene. */
export class Session {
  private readonly stopping = new AbortController();
  private readonly throttle: Throttle;
  private readonly backoff = new Backoff();
  private source: WorkerSource;
  private receiver: Receiver;
  private transport: Transport | null = null;
  private waiting = new AbortController(); // for a new attempt
  private flushTimer: ReturnType<typeof setTimeout> | undefined;
  private reviseTimer: ReturnType<typeof setTimeout> | undefined;
  private flushedS = 0;
  private untaken = 0;
  private keeper: Keeper | null = null;

  constructor(
    private readonly request: OpenRequest,
    private readonly host: Host,
  ) {
    this.source = request.source;
    this.throttle = new Throttle(request.rate);
    this.receiver = this.newReceiver(request.budget, request.view);
  }

  /** Runs until it is disposed or fails; never rejects. */
  async run(): Promise<void> {
    const { signal } = this.stopping;
    let { first } = this.host;
    let budget = this.request.budget;
    this.setBudget = (changed) => {
      budget = changed;
      this.receiver.setBudget(changed);
      this.reviseSoon();
    };
    for (;;) {
      const before = this.receiver.receivedBytes;
      try {
        if (!this.transport) {
          await this.beginFromDisk();
          this.transport = this.connect(first);
          first = null;
        }
        await this.transport.run(signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.flush();
        if (error instanceof SceneChangedError) {
          this.dropAll();
          this.receiver = this.newReceiver(budget, this.receiver.view);
          this.transport = null;
          continue;
        }
        const brought = this.receiver.receivedBytes > before;
        const wait =
          error instanceof StreamError
            ? this.backoff.wait(error, brought, this.receiver.head !== null)
            : null;
        if (wait === null && this.fallBack(error)) continue;
        if (wait === null) {
          this.host.report({ type: 'error', error: sent(error) });
          return;
        }
        this.host.report({ type: 'reconnecting', waitS: wait, reason: (error as Error).message });
        this.waiting = new AbortController();
        await sleep(wait, AbortSignal.any([signal, this.waiting.signal])).catch(() => {});
        if (signal.aborted) return;
      }
    }
  }

  look(view: View): void {
    this.receiver.look(view);
    this.transport?.wake();
    this.reviseSoon();
    this.flushSoon();
  }

  setBudget: (budget: Budget) => void = (budget) => this.receiver.setBudget(budget);

  setRate(rate: number): void {
    this.throttle.rate = rate;
  }

  /** The page has taken an update. */
  taken(): void {
    this.untaken -= 1;
    this.flushSoon();
  }

  /** The network is back. */
  online(): void {
    this.backoff.reset();
    this.waiting.abort();
  }

  dispose(): void {
    this.keeper?.close();
    clearTimeout(this.flushTimer);
    clearTimeout(this.reviseTimer);
    this.stopping.abort(new ExgsError('the scene was disposed of'));
  }

  /** Reads ranges of the file where no stream can be opened; false where that is not to be. */
  private fallBack(error: unknown): boolean {
    const { source, receiver } = this;
    if (source.kind !== 'stream' || !source.mayFallBack || receiver.head !== null) return false;
    if (!(error instanceof ConnectionLostError)) return false;
    this.source = { kind: 'http', url: source.fileUrl, sendsIfMatch: source.sendsIfMatch };
    this.transport = null;
    this.backoff.reset();
    return true;
  }

  private connect(first: Promise<Answer> | null): Transport {
    const { token } = this.request;
    const { receiver, source, throttle } = this;
    const keep = (offset: number, bytes: Uint8Array): void => this.keeper?.keep(offset, bytes);
    const reader = new RangeReader(receiver, keep);
    switch (source.kind) {
      case 'http':
        return new StaticTransport(receiver, reader, {
          get: fetchFrom(source.url, token),
          first,
          sendsIfMatch: source.sendsIfMatch,
          throttle,
        });
      case 'blob':
        return new LocalTransport(receiver, reader, readBlob(source.blob), throttle);
      case 'bytes':
        return new LocalTransport(receiver, reader, readBytes(source.bytes), throttle);
      case 'asked':
        return new LocalTransport(receiver, reader, this.host.read, throttle);
      case 'stream':
        return new StreamingTransport(receiver, {
          url: source.url,
          scene: source.scene,
          token,
          throttle,
          keep,
          ...(this.host.connect ? { connect: this.host.connect } : {}),
        });
    }
  }

  private newReceiver(budget: Budget, view: View | null): Receiver {
    const receiver = new Receiver(budget, {
      opened: (head) => {
        this.host.report({ type: 'open', facts: head.root.facts });
        void this.fetchPoster(head.header);
      },
      poster: (poster) => this.host.report({ type: 'poster', poster }),
      damaged: (section) => this.host.report({ type: 'damaged', section }),
      arrived: () => {
        this.reviseSoon();
        this.flushSoon();
      },
      revised: (revision) => this.revised(revision),
    });
    receiver.look(view);
    return receiver;
  }

  private dropAll(): void {
    this.host.report({ type: 'changed' });
    const update = this.receiver.dropAll();
    if (update) this.host.report({ type: 'update', update });
  }

  /** A stream brings no poster: it is read from the file beside it. */
  private async fetchPoster({ posterBytes, rootEnd, posterEnd }: Header): Promise<void> {
    const { source } = this;
    const { token } = this.request;
    if (source.kind !== 'stream' || posterBytes === 0) return;
    const { signal } = this.stopping;
    try {
      const get = fetchFrom(source.fileUrl, token);
      const answer = await get({
        first: rootEnd,
        last: posterEnd - 1,
        ifMatch: null,
        isFresh: false,
        signal,
      });
      if (answer.status !== 206) return;
      const bytes = new Uint8Array(posterBytes);
      let length = 0;
      for await (const data of answer.body) {
        bytes.set(data.subarray(0, posterBytes - length), length);
        length += data.length;
      }
      await this.receiver.takePoster(bytes);
    } catch {
      // A scene without a poster is whole.
    }
  }

  /** Shows what is on disk, before the network is asked for the rest. */
  private async beginFromDisk(): Promise<void> {
    const { cacheKey } = this.request;
    const disk = cacheKey === null ? null : await this.host.disk();
    if (!disk || cacheKey === null || this.keeper) return;
    this.keeper = new Keeper(disk, cacheKey);
    await this.keeper.begin(this.receiver);
    await this.keeper.feed(this.receiver, this.stopping.signal);
  }

  /** What comes again is read from disk, where it is there, and else asked for. */
  private revised(revision: Revision): void {
    const { keeper, receiver } = this;
    const isKept = (part: number): boolean => keeper?.has(receiver, part) ?? false;
    const kept = [...revision.takeIn, ...revision.fetchAgain].filter(isKept);
    for (const part of kept) receiver.scheduler?.mark(part, receiver.plan!.length(part));
    const isAsked = (part: number): boolean => !isKept(part);
    this.transport?.revised({
      ...revision,
      takeIn: revision.takeIn.filter(isAsked),
      fetchAgain: revision.fetchAgain.filter(isAsked),
    });
    if (!keeper || kept.length === 0) return;
    void keeper.feedParts(receiver, kept, this.stopping.signal).then((failed) => {
      for (const part of failed) receiver.scheduler?.mark(part, 0);
      if (failed.length > 0) this.transport?.revised({ ...NO_REVISION, takeIn: failed });
    });
  }

  private reviseSoon(): void {
    this.reviseTimer ??= setTimeout(() => {
      this.reviseTimer = undefined;
      this.receiver.revise();
      this.flushSoon();
    }, REVISE_S * 1000);
  }

  private flushSoon(): void {
    if (this.flushTimer !== undefined || this.untaken >= MOST_UNTAKEN) return;
    const wait = Math.max(this.flushedS + FLUSH_S - nowS(), 0);
    this.flushTimer = setTimeout(() => this.flush(), wait * 1000);
  }

  private flush(): void {
    clearTimeout(this.flushTimer);
    this.flushTimer = undefined;
    this.flushedS = nowS();
    const update = this.receiver.take();
    if (!update) return;
    this.untaken += 1;
    this.host.report({ type: 'update', update }, buffersOf(update));
  }
}

function buffersOf(update: { added: readonly { children: Uint32Array; data: object }[]; refined: readonly { data: object }[] }): Transferable[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { children } of update.added) buffers.add(children.buffer as ArrayBuffer);
  for (const { data } of [...update.added, ...update.refined]) {
    for (const array of Object.values(data) as (Float32Array | null)[]) {
      if (array) buffers.add(array.buffer as ArrayBuffer);
    }
  }
  return [...buffers];
}

function sent(error: unknown): SentError {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return {
    name,
    message,
    errorClass: error instanceof FormatError ? error.errorClass : null,
    status: error instanceof StreamError ? error.status : 0,
  };
}
