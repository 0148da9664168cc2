// The origin private file system of the browser as a Disk. It exists in workers of secure pages
// only; a file can be open in one page at a time.

import type { Disk, DiskFile } from './store.ts';

const FOLDER = 'exgs';

/** What of a sync access handle is used: the DOM types leave it out. */
interface AccessHandle {
  getSize(): number;
  read(bytes: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  flush(): void;
  close(): void;
}

/** The disk of this origin, null where there is none. */
export async function openOpfs(): Promise<Disk | null> {
  try {
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle(FOLDER, { create: true });
    return new Opfs(folder);
  } catch {
    return null;
  }
}

class Opfs implements Disk {
  constructor(private readonly folder: FileSystemDirectoryHandle) {}

  async open(name: string): Promise<DiskFile> {
    const handle = await this.folder.getFileHandle(name, { create: true });
    const file = handle as unknown as { createSyncAccessHandle(): Promise<AccessHandle> };
    return new OpfsFile(await file.createSyncAccessHandle());
  }

  remove(name: string): Promise<void> {
    return this.folder.removeEntry(name);
  }

  async list(): Promise<{ name: string; size: number; writtenMs: number }[]> {
    const files: { name: string; size: number; writtenMs: number }[] = [];
    const entries = this.folder as unknown as AsyncIterable<[string, FileSystemFileHandle]>;
    for await (const [name, handle] of entries) {
      const { size, lastModified } = await handle.getFile();
      files.push({ name, size, writtenMs: lastModified });
    }
    return files;
  }
}

class OpfsFile implements DiskFile {
  constructor(private readonly handle: AccessHandle) {}

  get size(): number {
    return this.handle.getSize();
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, this.handle.read(bytes, { at: offset }));
  }

  write(offset: number, bytes: Uint8Array): void {
    if (this.handle.write(bytes, { at: offset }) < bytes.length) throw new Error('there is no room');
  }

  close(): void {
    this.handle.flush();
    this.handle.close();
  }
}
