// The decoder without a network: whole files, or prefixes of them, to updates and to plain arrays.

import { TruncatedError } from './errors.ts';
import { FilePusher } from './format/pusher.ts';
import { SceneBuilder } from './scene/builder.ts';
import { ShownScene } from './scene/shown.ts';
import type { SceneFacts } from './update.ts';

export { readHead, readPoster, HEAD_BYTES, type FileHead } from './format/head.ts';
export { FilePusher } from './format/pusher.ts';
export { SceneBuilder } from './scene/builder.ts';
export { ShownScene, type DrawnSplats } from './scene/shown.ts';
export * from './errors.ts';

const BLOCK_BYTES = 1 << 20;

/** What a file or a prefix of it gives to draw. */
export interface DecodedScene {
  readonly facts: SceneFacts;
  readonly scene: ShownScene;
  readonly table: FilePusher['table'];
}

/**
 * Decodes a file or its first bytes. A truncated file gives the scene so far, unless its head is
 * not whole. Raises the first FormatError.
 */
export async function decodeFile(data: Uint8Array): Promise<DecodedScene> {
  const pusher = new FilePusher();
  const scene = new ShownScene();
  let builder: SceneBuilder | null = null;
  for (let at = 0; at < data.length || at === 0; at += BLOCK_BYTES) {
    for (const { row, bytes } of await pusher.push(data.subarray(at, at + BLOCK_BYTES))) {
      builder ??= new SceneBuilder(pusher.table!);
      const [fault] = builder.add(row, bytes);
      if (fault) throw fault.error;
    }
    const change = builder?.take();
    if (change) scene.apply(change);
  }
  if (!pusher.head) {
    throw new TruncatedError(`${pusher.position} bytes do not hold the head`, 'file', pusher.neededBytes);
  }
  return { facts: pusher.head.root.facts, scene, table: pusher.table };
}
