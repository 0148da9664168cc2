// Parts of scenes on disk, for the next visit: for each scene hash a sparse file as long as the scene,
// and a list of the parts in it. The reader checks each part against its hash.

import { sha256 } from '../bytes/sha256.ts';
import { toHex } from '../bytes/hash.ts';

const MOST_BYTES = 1 << 30; // of all scenes together
const ENTRY_BYTES = 12; // of a list: u32[3] offset low, offset high, length

/** A file that is open. */
export interface DiskFile {
  readonly size: number;
  /** Up to `length` bytes. */
  read(offset: number, length: number): Uint8Array;
  /** Raises where there is no room. */
  write(offset: number, bytes: Uint8Array): void;
  close(): void;
}

/** A folder of files. */
export interface Disk {
  /** Opens a file, made where it is not there; raises where another page has it open. */
  open(name: string): Promise<DiskFile>;
  remove(name: string): Promise<void>;
  /** All files, with when they were last written. */
  list(): Promise<readonly { name: string; size: number; writtenMs: number }[]>;
}

/** What is kept of one scene. */
export class SceneStore {
  private readonly lengths = new Map<number, number>(); // by offset
  private isFull = false;

  private constructor(
    /** The scene hash in hex. */
    readonly hash: string,
    private readonly data: DiskFile,
    private readonly index: DiskFile,
  ) {
    const entries = index.read(0, index.size);
    const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
    for (let at = 0; at + ENTRY_BYTES <= entries.length; at += ENTRY_BYTES) {
      const offset = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
      this.lengths.set(offset, view.getUint32(at + 8, true));
    }
  }

  /** Opens what is kept of a scene; null where that fails. */
  static async open(disk: Disk, hash: string): Promise<SceneStore | null> {
    let data: DiskFile | null = null;
    try {
      data = await disk.open(`${hash}.data`);
      return new SceneStore(hash, data, await disk.open(`${hash}.list`));
    } catch {
      data?.close();
      return null;
    }
  }

  /** The part at `offset` whole, null where it is not kept. */
  read(offset: number, length: number): Uint8Array | null {
    if (!this.has(offset, length)) return null;
    const bytes = this.data.read(offset, length);
    return bytes.length === length ? bytes : null;
  }

  has(offset: number, length: number): boolean {
    return this.lengths.get(offset) === length;
  }

  /** The head of the file, null where it is not kept. */
  readHead(): Uint8Array | null {
    const length = this.lengths.get(0);
    return length === undefined ? null : this.read(0, length);
  }

  /** Keeps a part; where there is no room nothing more is kept. */
  write(offset: number, bytes: Uint8Array): void {
    if (this.isFull || this.has(offset, bytes.length)) return;
    const entry = new DataView(new ArrayBuffer(ENTRY_BYTES));
    entry.setUint32(0, offset % 2 ** 32, true);
    entry.setUint32(4, Math.floor(offset / 2 ** 32), true);
    entry.setUint32(8, bytes.length, true);
    try {
      this.data.write(offset, bytes);
      this.index.write(this.index.size, new Uint8Array(entry.buffer));
      this.lengths.set(offset, bytes.length);
    } catch {
      this.isFull = true;
    }
  }

  /** The part at `offset` is damaged: it counts as not kept, until it is written again. */
  forget(offset: number): void {
    this.lengths.delete(offset);
  }

  close(): void {
    this.data.close();
    this.index.close();
  }
}

/** The hash of the scene that was last seen under a name, null where none was. */
export async function recall(disk: Disk, key: string): Promise<string | null> {
  try {
    const file = await disk.open(nameOf(key));
    const hash = String.fromCharCode(...file.read(0, 32));
    file.close();
    return /^[0-9a-f]{32}$/.test(hash) ? hash : null;
  } catch {
    return null;
  }
}

/** Notes which scene was seen under a name, and removes scenes that have not been for long. */
export async function remember(disk: Disk, key: string, hash: string): Promise<void> {
  try {
    const file = await disk.open(nameOf(key));
    file.write(0, new TextEncoder().encode(hash));
    file.close();
    await tidy(disk, hash);
  } catch {
    // Another page holds the file, or there is no room: then nothing is remembered.
  }
}

/** Removes the scenes that were written longest ago until the others fit; not `kept`. */
async function tidy(disk: Disk, kept: string): Promise<void> {
  const files = [...(await disk.list())].sort((a, b) => b.writtenMs - a.writtenMs);
  let total = 0;
  for (const { name, size } of files) {
    total += size;
    if (total > MOST_BYTES && !name.startsWith(kept)) await disk.remove(name).catch(() => {});
  }
}

function nameOf(key: string): string {
  return `${toHex(sha256(new TextEncoder().encode(key))).slice(0, 32)}.name`;
}
