// The cache on disk of the current scene: parts are kept as they arrive, and fed to the receiver before
// the rest is requested from the network.

import { checkHash } from '../format/frame.ts';
import { readHead } from '../format/head.ts';
import { toHex, contentHash } from '../bytes/hash.ts';
import { FormatError } from '../errors.ts';
import { isPage, pageId, pagePart } from '../flow/parts.ts';
import type { Receiver } from '../flow/receiver.ts';
import { SceneStore, recall, remember, type Disk } from '../disk/store.ts';

const BREATH_PARTS = 4; // that are fed before others get their turn

/** Keeps and feeds the parts of one scene. */
export class Keeper {
  private store: SceneStore | null = null;
  private opening: Promise<void> = Promise.resolve();
  private readonly early: { offset: number; bytes: Uint8Array }[] = [];

  constructor(
    private readonly disk: Disk,
    private readonly key: string,
  ) {}

  /** Opens the scene that was last seen under the key in `receiver`, if it is on disk. */
  async begin(receiver: Receiver): Promise<void> {
    const hash = await recall(this.disk, this.key);
    if (hash === null) return;
    const store = await SceneStore.open(this.disk, hash);
    const bytes = store?.readHead();
    if (!store || !bytes) {
      store?.close();
      return;
    }
    try {
      const head = await readHead(bytes);
      if (toHex(head.sceneHash) !== hash) throw new FormatError('damaged', 'it is another scene');
      this.store = store;
      receiver.open(head);
      const { rootEnd, posterBytes } = head.header;
      const poster = posterBytes > 0 ? store.read(rootEnd, posterBytes) : null;
      if (poster) await receiver.takePoster(poster);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.close();
    }
  }

  /** Whether a part is on disk. */
  has(receiver: Receiver, part: number): boolean {
    const ref = receiver.plan?.ref(part);
    return ref !== undefined && (this.store?.has(ref.offset, ref.packedBytes) ?? false);
  }

  /** Feeds all parts that are on disk and wanted, in the order of the view. */
  async feed(receiver: Receiver, signal: AbortSignal): Promise<void> {
    const { plan } = receiver;
    if (!plan || !this.store) return;
    for (const { id } of plan.pages) await this.give(receiver, pagePart(id));
    const order = receiver.scheduler!.fresh();
    const parts: number[] = [];
    for (let slice = order.next(); slice; slice = order.next()) {
      order.record(slice);
      if (!isPage(slice.part) && receiver.wants(slice.part)) parts.push(slice.part);
    }
    await this.feedParts(receiver, parts, signal);
  }

  /** Feeds these chunks; returns those that could not be read. */
  async feedParts(receiver: Receiver, parts: Iterable<number>, signal: AbortSignal): Promise<number[]> {
    const failed: number[] = [];
    let count = 0;
    for (const part of parts) {
      if (signal.aborted) return failed;
      if (!(await this.give(receiver, part))) failed.push(part);
      count += 1;
      if (count % BREATH_PARTS === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return failed;
  }

  /** Keeps a part that has passed its checks; the head comes first. */
  keep(offset: number, bytes: Uint8Array): void {
    if (offset === 0) {
      this.close();
      this.opening = this.opening.then(() => this.openFor(bytes));
    }
    if (this.store) this.store.write(offset, bytes);
    else this.early.push({ offset, bytes });
  }

  close(): void {
    this.store?.close();
    this.store = null;
    this.early.length = 0;
  }

  private async openFor(head: Uint8Array): Promise<void> {
    const hash = toHex(await contentHash(head));
    this.store = await SceneStore.open(this.disk, hash);
    for (const { offset, bytes } of this.early.splice(0)) this.store?.write(offset, bytes);
    await remember(this.disk, this.key, hash);
  }

  private async give(receiver: Receiver, part: number): Promise<boolean> {
    const plan = receiver.plan!;
    const ref = plan.ref(part);
    const bytes = ref && this.store?.read(ref.offset, ref.packedBytes);
    if (!bytes) return false;
    try {
      await checkHash(ref, bytes);
      if (isPage(part)) {
        if (!plan.table.hasPage(pageId(part))) receiver.addPage(plan.pages[pageId(part) - 1]!, bytes);
      } else for (const { error } of receiver.addChunk(plan.table.row(part)!, bytes)) throw error;
      receiver.scheduler!.mark(part, bytes.length);
      return true;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.store?.forget(ref.offset);
      return false;
    }
  }
}
