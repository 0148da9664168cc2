// The page's side of a scene, with a worker of the test's own.

import { expect, test } from 'vitest';
import { openScene } from '../src/open.ts';
import type { SceneUpdate } from '../src/update.ts';
import type { Report, Request } from '../src/worker/messages.ts';

const progress = { receivedBytes: 0, fileBytes: 0, layer: 0, splats: 0, complete: false, readyForView: false };
const UPDATE: SceneUpdate = { added: [], refined: [], dropped: [], groups: [], progress };

/** A worker that notes what it is sent, and reports what the test wants. */
class FakeWorker {
  readonly sent: Request[] = [];
  onmessage: ((event: { data: Report }) => void) | null = null;

  postMessage(request: Request): void {
    this.sent.push(request);
  }

  update(): void {
    this.onmessage!({ data: { type: 'update', update: UPDATE } });
  }

  get taken(): number {
    return this.sent.filter(({ type }) => type === 'taken').length;
  }
}

test('while a scene is paused the worker is not told that updates were taken', () => {
  const worker = new FakeWorker();
  const scene = openScene(new Uint8Array(1), { worker: () => worker as unknown as Worker });
  worker.update();
  expect(worker.taken).toBe(1);
  scene.pause();
  worker.update();
  worker.update();
  expect(worker.taken).toBe(1);
  scene.resume();
  expect(worker.taken).toBe(3);
  worker.update();
  expect(worker.taken).toBe(4);
});
