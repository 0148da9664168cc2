// The static profile: byte ranges of the file itself, from any HTTP server. A few requests are on
// their way at a time, enough to fill the link and no more, so that a new view soon changes what
// arrives. A server that ignores ranges sends the whole file, which works too.

import { HEAD_BYTES } from '../format/head.ts';
import { sameBytes } from '../bytes/hash.ts';
import type { RangeReader, ByteRange } from '../flow/ranges.ts';
import type { Receiver } from '../flow/receiver.ts';
import type { Revision } from '../flow/residency.ts';
import { Bell, nowS, sleep } from './clock.ts';
import { ConnectionLostError, SceneChangedError, StreamError } from './errors.ts';
import { AnswerChecks, type Answer, type HttpGet } from './http.ts';
import type { Throttle } from './throttle.ts';

const REQUESTS = 6; // at a time, as browsers do
const AHEAD_BYTES = 128 << 10; // on their way at first: what fills a slow link over a round trip
const MOST_AHEAD_BYTES = 16 << 20;
const QUICK_S = 0.25; // beyond the least answer time: more may be on its way
const LONG_S = 0.8; // or less
const SILENCE_S = 10; // without a byte, after which a request is given up

/** What a static transport works with. */
export interface StaticOptions {
  readonly get: HttpGet;
  /** The answer to a request for the first bytes that was made before. */
  readonly first: Promise<Answer> | null;
  /** Whether If-Match may be sent: across origins it would cost a preflight. */
  readonly sendsIfMatch: boolean;
  readonly throttle: Throttle;
}

/** Receives a scene from an HTTP server; goes on from what the receiver has. */
export class StaticTransport {
  private readonly answers = new AnswerChecks();
  private first: Promise<Answer> | null;
  private awaitedBytes = 0;
  private aheadBytes = AHEAD_BYTES;
  private leastAnswerS = Infinity;
  private readonly news = new Bell();
  private isConfirmed: boolean;

  constructor(
    private readonly receiver: Receiver,
    private readonly reader: RangeReader,
    private readonly options: StaticOptions,
  ) {
    this.first = options.first;
    this.isConfirmed = receiver.head === null;
  }

  /** Something is wanted now that was not. */
  wake(): void {
    this.news.strike();
  }

  /** Other chunks are to be fetched than before. */
  revised(revision: Revision): void {
    this.reader.forget(revision.fetchAgain);
    this.news.strike();
  }

  /** Receives until `signal` is aborted; raises StreamError, FormatError. */
  async run(signal: AbortSignal): Promise<void> {
    const failing = new AbortController();
    const either = AbortSignal.any([signal, failing.signal]);
    try {
      if (!this.isConfirmed && this.answers.etag === null) await this.confirm(either);
      const aborted = untilAborted(either);
      aborted.catch(() => {});
      const work = async (): Promise<void> => {
        for (;;) {
          const range = this.claim();
          if (range) await this.fetch(range, either);
          else {
            this.reader.checkLost();
            await Promise.race([this.news.rung, aborted]);
          }
        }
      };
      await Promise.all(Array.from({ length: REQUESTS }, work));
    } catch (error) {
      throw named(error);
    } finally {
      failing.abort();
      this.reader.release();
      this.awaitedBytes = 0;
    }
  }

  private claim(): ByteRange | null {
    const ahead = Math.min(this.aheadBytes, this.options.throttle.window);
    const room = ahead - this.awaitedBytes;
    if (room <= 0) return null;
    return this.reader.claim(Math.min(room, ahead / 2), Math.min(room, ahead / REQUESTS));
  }

  private async fetch(range: ByteRange, signal: AbortSignal): Promise<void> {
    let awaited = range.end - range.start;
    this.awaitedBytes += awaited;
    const askedS = nowS();
    const timer = new SilenceTimer(signal);
    let coming: ByteRange | null = range;
    try {
      const answer = await this.ask(range, timer);
      this.leastAnswerS = Math.min(this.leastAnswerS, nowS() - askedS);
      this.answers.check(answer, range.start);
      if (answer.status === 200) coming = this.reader.claimAll(range);
      if (!coming) return;
      let position = coming.start;
      for await (const data of answer.body) {
        timer.heard();
        this.receiver.receivedBytes += data.length;
        const delay = this.options.throttle.delay(data.length, nowS());
        if (delay > 0) {
          await sleep(delay, signal);
          timer.heard();
        }
        const known = Math.min(awaited, data.length);
        awaited -= known;
        this.awaitedBytes -= known;
        await this.reader.take(position, data);
        position += data.length;
        this.news.strike();
      }
      const fileBytes = this.receiver.head?.header.fileBytes ?? Infinity;
      if (position < Math.min(coming.end, fileBytes)) {
        throw new ConnectionLostError('the server sent less than it was asked for');
      }
      this.reader.finish(coming);
      coming = null;
      this.adapt(position - range.start, nowS() - askedS);
    } finally {
      timer.stop();
      if (coming) this.reader.finish(coming);
      this.awaitedBytes -= awaited;
      this.news.strike();
    }
  }

  private async ask(range: ByteRange, timer: SilenceTimer): Promise<Answer> {
    const { first } = this;
    if (first && range.start === 0 && !this.receiver.head) {
      this.first = null;
      const answer = await Promise.race([first.catch(() => null), untilAborted(timer.signal)]);
      if (answer && (answer.status === 200 || answer.status === 206)) return answer;
    }
    return this.options.get({
      first: range.start,
      last: range.end - 1,
      ifMatch: this.options.sendsIfMatch ? this.answers.etag : null,
      isFresh: this.reader.cameDamaged(range),
      signal: timer.signal,
    });
  }

  /** The scene came from a cache: compares the head of the file, which shows whether it has changed. */
  private async confirm(signal: AbortSignal): Promise<void> {
    const head = this.receiver.head!;
    const timer = new SilenceTimer(signal);
    try {
      const range = { start: 0, end: HEAD_BYTES };
      const { first } = this;
      this.first = null;
      const answer =
        (first && (await Promise.race([first.catch(() => null), untilAborted(timer.signal)]))) ??
        (await this.options.get({
          first: 0,
          last: range.end - 1,
          ifMatch: null,
          isFresh: false,
          signal: timer.signal,
        }));
      this.answers.check(answer, 0);
      const data = new Uint8Array(head.bytes.length);
      let length = 0;
      for await (const piece of answer.body) {
        timer.heard();
        this.receiver.receivedBytes += piece.length;
        const own = piece.subarray(0, data.length - length);
        data.set(own, length);
        length += own.length;
        if (length === data.length) break;
      }
      if (length < data.length) {
        throw new ConnectionLostError('the server sent less than it was asked for');
      }
      if (!sameBytes(data, head.bytes)) throw new SceneChangedError();
      this.isConfirmed = true;
    } finally {
      timer.stop();
    }
  }

  /** Requests more ahead while ranges arrive quickly, less where they queue. */
  private adapt(bytes: number, takenS: number): void {
    const beyondS = takenS - this.leastAnswerS;
    if (beyondS < QUICK_S) this.aheadBytes = Math.min(this.aheadBytes + bytes, MOST_AHEAD_BYTES);
    else if (beyondS > LONG_S) this.aheadBytes = Math.max(this.aheadBytes / 2, AHEAD_BYTES);
  }
}

/** Aborts a request when nothing has arrived for a while. */
class SilenceTimer {
  readonly signal: AbortSignal;
  private readonly controller = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(outer: AbortSignal) {
    this.signal = AbortSignal.any([outer, this.controller.signal]);
    this.heard();
  }

  heard(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.controller.abort(new ConnectionLostError('nothing came for a while'));
    }, SILENCE_S * 1000);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.controller.abort(new ConnectionLostError('the request is over'));
  }
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

/** fetch raises TypeError for every failure of a connection. */
function named(error: unknown): unknown {
  if (!(error instanceof TypeError) || error instanceof StreamError) return error;
  return new ConnectionLostError('the connection broke', 0, { cause: error });
}
