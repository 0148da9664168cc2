// One scene in the worker: connects and reconnects, paces updates, keeps the budget.

import type { Disk } from '../disk/store.ts';
import { ExgsError, FormatError } from '../errors.ts';
import { RangeReader } from '../flow/ranges.ts';
import { Receiver } from '../flow/receiver.ts';
import { NO_REVISION, type Budget, type Revision } from '../flow/residency.ts';
import type { FileHead } from '../format/head.ts';
import { Backoff } from '../net/backoff.ts';
import { sleep } from '../net/clock.ts';
import { ConnectionLostError, SceneChangedError, StreamError } from '../net/errors.ts';
import { fetchFrom, type Answer } from '../net/http.ts';
import { LocalTransport, readBlob, readBytes, type ReadRange } from '../net/local.ts';
import { fetchPoster } from '../net/poster.ts';
import { StaticTransport } from '../net/static.ts';
import { StreamingTransport, type Socket } from '../net/streaming.ts';
import { Throttle } from '../net/throttle.ts';
import type { SceneUpdate, View } from '../update.ts';
import { Keeper } from './keeper.ts';
import type { Report, Request, WorkerSource } from './messages.ts';
import { Pace } from './pace.ts';
import { buffersOf, sentError } from './reports.ts';

const FLUSH_S = 0.03; // between updates
const LOOK_S = 0.05; // between views
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
  private readonly flush = new Pace(() => this.flushNow(), FLUSH_S);
  private readonly revise = new Pace(() => this.receiver.revise(), REVISE_S);
  private readonly turn = new Pace(() => this.turnNow(), LOOK_S);
  private source: WorkerSource;
  private budget: Budget;
  private view: View | null;
  private receiver: Receiver;
  private transport: Transport | null = null;
  private keeper: Keeper | null = null;
  private waiting = new AbortController(); // for a new attempt
  private untaken = 0;

  constructor(
    private readonly request: OpenRequest,
    private readonly host: Host,
  ) {
    this.source = request.source;
    this.budget = request.budget;
    this.view = request.view;
    this.throttle = new Throttle(request.rate);
    this.receiver = this.newReceiver();
  }

  /** Runs until it is disposed or fails; never rejects. */
  async run(): Promise<void> {
    const { signal } = this.stopping;
    let { first } = this.host;
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
        this.flush.now();
        if (error instanceof SceneChangedError) this.begin();
        else if (!(await this.recover(error, this.receiver.receivedBytes > before))) return;
        if (signal.aborted) return;
      }
    }
  }

  /** Looks from here; of views in quick succession some are skipped. */
  look(view: View): void {
    this.view = view;
    this.turn.soon();
  }

  setBudget(budget: Budget): void {
    this.budget = budget;
    this.receiver.setBudget(budget);
    this.revise.soon();
  }

  setRate(rate: number): void {
    this.throttle.rate = rate;
  }

  /** The page has taken an update. */
  taken(): void {
    this.untaken -= 1;
    this.flush.soon();
  }

  /** The network is back. */
  online(): void {
    this.backoff.reset();
    this.waiting.abort();
  }

  dispose(): void {
    this.keeper?.close();
    for (const pace of [this.flush, this.revise, this.turn]) pace.stop();
    this.stopping.abort(new ExgsError('the scene was disposed of'));
  }

  /** The scene on the server is another one: drops all of the old. */
  private begin(): void {
    this.host.report({ type: 'changed' });
    const update = this.receiver.dropAll();
    if (update) this.report(update);
    this.receiver = this.newReceiver();
    this.transport = null;
  }

  /** Waits for another attempt; false where there is none. */
  private async recover(error: unknown, brought: boolean): Promise<boolean> {
    const isBegun = this.receiver.head !== null;
    const waitS = error instanceof StreamError ? this.backoff.wait(error, brought, isBegun) : null;
    if (waitS === null) {
      if (this.fallBack(error)) return true;
      this.host.report({ type: 'error', error: sentError(error) });
      return false;
    }
    this.host.report({ type: 'reconnecting', waitS, reason: (error as Error).message });
    this.waiting = new AbortController();
    const signal = AbortSignal.any([this.stopping.signal, this.waiting.signal]);
    await sleep(waitS, signal).catch(() => {});
    return true;
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
    const { connect, read } = this.host;
    const keep = (offset: number, bytes: Uint8Array): void => this.keeper?.keep(offset, bytes);
    if (source.kind === 'stream') {
      const { url, scene } = source;
      const options = { url, scene, token, throttle, keep, ...(connect && { connect }) };
      return new StreamingTransport(receiver, options);
    }
    const reader = new RangeReader(receiver, keep);
    if (source.kind === 'http') {
      const get = fetchFrom(source.url, token);
      const { sendsIfMatch } = source;
      return new StaticTransport(receiver, reader, { get, first, sendsIfMatch, throttle });
    }
    const local =
      source.kind === 'blob' ? readBlob(source.blob) : source.kind === 'bytes' ? readBytes(source.bytes) : read;
    return new LocalTransport(receiver, reader, local, throttle);
  }

  private newReceiver(): Receiver {
    const receiver = new Receiver(this.budget, {
      opened: (head) => {
        this.host.report({ type: 'open', facts: head.root.facts });
        void this.fetchPoster(head);
      },
      poster: (poster) => this.host.report({ type: 'poster', poster }),
      damaged: (section) => this.host.report({ type: 'damaged', section }),
      arrived: () => {
        this.revise.soon();
        this.flush.soon();
      },
      revised: (revision) => this.revised(revision),
    });
    receiver.look(this.view);
    return receiver;
  }

  private async fetchPoster({ header }: FileHead): Promise<void> {
    const { source, receiver } = this;
    if (source.kind !== 'stream' || header.posterBytes === 0) return;
    const get = fetchFrom(source.fileUrl, this.request.token);
    const bytes = await fetchPoster(get, header, this.stopping.signal);
    try {
      if (bytes) await receiver.takePoster(bytes);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      receiver.listener.damaged('poster', error);
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

  /** Chunks to be fetched again are read from disk if they are there, else requested. */
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
    this.flush.soon();
    if (!keeper || kept.length === 0) return;
    void keeper.feedParts(receiver, kept, this.stopping.signal).then((failed) => {
      if (failed.length === 0) return;
      for (const part of failed) receiver.scheduler?.mark(part, 0);
      const hasFailed = (part: number): boolean => failed.includes(part);
      this.transport?.revised({
        ...NO_REVISION,
        takeIn: revision.takeIn.filter(hasFailed),
        fetchAgain: revision.fetchAgain.filter(hasFailed),
      });
    });
  }

  private turnNow(): void {
    this.receiver.look(this.view);
    this.transport?.wake();
    this.revise.soon();
    this.flush.soon();
  }

  private flushNow(): void {
    if (this.untaken >= MOST_UNTAKEN) return; // `taken` asks for it again
    const update = this.receiver.take();
    if (update) this.report(update);
  }

  private report(update: SceneUpdate): void {
    this.untaken += 1;
    this.host.report({ type: 'update', update }, buffersOf(update));
  }
}
