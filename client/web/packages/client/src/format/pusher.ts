// Reads a file from the front, however its bytes are cut: what a prefix holds, chunk by chunk.

import { HEADER_BYTES } from '../constants.ts';
import { DamagedError, TruncatedError } from '../errors.ts';
import type { Poster } from '../update.ts';
import { checkHash } from './frame.ts';
import { readHead, readPoster, type FileHead } from './head.ts';
import { readPage } from './page.ts';
import type { ChunkRow, PageRow } from './rows.ts';
import { ChunkTable } from './table.ts';

/** A chunk with its bytes, whose hash has been checked. */
export interface PushedChunk {
  readonly row: ChunkRow;
  readonly bytes: Uint8Array;
}

/** The push side of the container: bytes in, chunks out, in file order. */
export class FilePusher {
  head: FileHead | null = null;
  table: ChunkTable | null = null;
  poster: Poster | null = null;
  /** Bytes that are known to be needed before `head` is there. */
  neededBytes = HEADER_BYTES;

  private buffer = new Uint8Array(0);
  private start = 0; // file offset of the buffer
  private queue: ChunkRow[] = []; // by offset, of the present area
  private nextPage = 0;
  private isPosterDue = false;

  /** Takes the next bytes of the file; raises the first fault. */
  async push(data: Uint8Array): Promise<PushedChunk[]> {
    const joined = new Uint8Array(this.buffer.length + data.length);
    joined.set(this.buffer);
    joined.set(data, this.buffer.length);
    this.buffer = joined;
    if (!this.head) {
      try {
        this.open(await readHead(this.buffer));
      } catch (error) {
        if (!(error instanceof TruncatedError)) throw error;
        this.neededBytes = error.neededBytes;
        return [];
      }
    }
    const chunks: PushedChunk[] = [];
    while (await this.step(chunks));
    const { fileBytes } = this.head!.header;
    if (this.position > fileBytes) {
      throw new DamagedError(`${this.position - fileBytes} bytes behind the last chunk`, 'file');
    }
    return chunks;
  }

  /** Bytes received. */
  get position(): number {
    return this.start + this.buffer.length;
  }

  private open(head: FileHead): void {
    this.head = head;
    this.table = new ChunkTable(head.root);
    this.queue = [...head.root.first.rows];
    this.isPosterDue = head.header.posterBytes > 0;
    this.take(head.header.rootEnd);
  }

  private async step(chunks: PushedChunk[]): Promise<boolean> {
    const head = this.head!;
    if (this.isPosterDue) {
      const bytes = this.take(head.header.posterBytes);
      if (!bytes) return false;
      this.poster = await readPoster(head, bytes);
      this.isPosterDue = false;
      return true;
    }
    const page = head.root.pages[this.nextPage];
    if (page && (page.group === head.root.pages[this.nextPage - 1]?.group || this.queue.length === 0)) {
      return this.takePage(page, head);
    }
    const row = this.queue[0];
    const bytes = row && this.take(row.packedBytes);
    if (!bytes) return false;
    this.queue.shift();
    await checkHash(row, bytes);
    chunks.push({ row, bytes });
    return true;
  }

  private async takePage(page: PageRow, head: FileHead): Promise<boolean> {
    const packed = this.take(page.packedBytes);
    if (!packed) return false;
    await checkHash(page, packed);
    const table = readPage(packed, page, head.root.facts);
    this.table!.addPage(page, table);
    this.queue.push(...table.rows);
    this.nextPage += 1;
    if (head.root.pages[this.nextPage]?.group !== page.group) {
      this.queue.sort((a, b) => a.offset - b.offset);
    }
    return true;
  }

  private take(length: number): Uint8Array | null {
    if (this.buffer.length < length) return null;
    const taken = this.buffer.slice(0, length);
    this.buffer = this.buffer.subarray(length);
    this.start += length;
    return taken;
  }
}
