// Local sources: a File or Blob, bytes in the page, or any function that reads a range.

import { FRONT_BYTES, type RangeReader } from '../flow/ranges.ts';
import type { Receiver } from '../flow/receiver.ts';
import type { Revision } from '../flow/residency.ts';
import { TruncatedError } from '../errors.ts';
import { Bell, nowS, sleep } from './clock.ts';
import type { Throttle } from './throttle.ts';

const BLOCK_BYTES = 1 << 20;

/** Reads up to `length` bytes from `offset`; fewer only at the end of the file. */
export type ReadRange = (offset: number, length: number) => Promise<Uint8Array>;

/** `ReadRange` of a File or Blob. */
export function readBlob(blob: Blob): ReadRange {
  return async (offset, length) =>
    new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
}

/** `ReadRange` of bytes. */
export function readBytes(bytes: Uint8Array): ReadRange {
  return (offset, length) => Promise.resolve(bytes.slice(offset, offset + length));
}

/** Receives a scene from a local source. */
export class LocalTransport {
  private readonly news = new Bell();
  private size = Infinity; // of the source, as far as it is known

  constructor(
    private readonly receiver: Receiver,
    private readonly reader: RangeReader,
    private readonly read: ReadRange,
    private readonly throttle: Throttle,
  ) {}

  /** Something is wanted now that was not. */
  wake(): void {
    this.news.strike();
  }

  /** Other chunks are to be fetched than before. */
  revised(revision: Revision): void {
    this.reader.forget(revision.fetchAgain);
    this.news.strike();
  }

  /** Receives until `signal` is aborted; raises FormatError and what the source raises. */
  async run(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    aborted.catch(() => {});
    let cut: TruncatedError | null = null;
    try {
      for (;;) {
        signal.throwIfAborted();
        const most = Math.min(BLOCK_BYTES, this.throttle.window);
        const range = this.reader.claim(most, Math.min(most, FRONT_BYTES));
        if (!range) {
          // A truncated file has been shown as far as it goes: now report it.
          if (cut) throw cut;
          this.reader.checkLost();
          await Promise.race([this.news.rung, aborted]);
          continue;
        }
        const data = await this.read(range.start, range.end - range.start);
        this.receiver.receivedBytes += data.length;
        const delay = this.throttle.delay(data.length, nowS());
        if (delay > 0) await sleep(delay, signal);
        await this.reader.take(range.start, data);
        const fileBytes = this.receiver.head?.header.fileBytes ?? Infinity;
        const end = range.start + data.length;
        if (end < Math.min(range.end, fileBytes)) {
          cut ??= new TruncatedError(`it ends at byte ${end}, before it is complete`, 'file', fileBytes);
          if (data.length === 0 || fileBytes === Infinity) throw cut;
          this.size = Math.min(this.size, end);
        }
        this.reader.giveUp(this.size);
        this.reader.finish(range);
      }
    } finally {
      this.reader.release();
    }
  }
}
