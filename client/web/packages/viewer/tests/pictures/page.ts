// In the browser: loads a dumped scene into a renderer, part by part, and draws its views.

import type { SceneUpdate } from '@exgs/client/update';
import { openContext } from '../../src/gl/context.ts';
import type { Target } from '../../src/gl/picture.ts';
import { SplatRenderer } from '../../src/renderer.ts';
import { createWorker } from '../../src/sort/create.ts';
import type { ShPrecision } from '../../src/splats/layout.ts';
import { cut, fetchScene, partOf } from '../scenes.ts';

export interface Job {
  readonly url: string; // of the scene, without its ending
  readonly target: Target;
  readonly precision: ShPrecision;
  readonly partSplats: number;
}

export interface Outcome {
  readonly pictures: string[]; // RGBA8 from the top, base64
  readonly pngs: string[];
  readonly splats: number;
  readonly target: string;
  readonly packMs: number; // in the worker, all of it
  readonly loadMs: number;
  readonly uploadMs: number; // main thread, all of it
  readonly longestUploadMs: number;
  readonly sortMs: number; // median
  readonly sortDelayMs: number;
  readonly frameMs: number; // median, waited for
  readonly fadeMs: number; // writing 1,024 groups and asking for a frame
  readonly refineMs: number;
  readonly gpuBytes: number;
  readonly emptyGpuBytes: number; // once all is dropped
  readonly error: number;
}

const PROGRESS = {
  receivedBytes: 0,
  fileBytes: 0,
  layer: 0,
  splats: 0,
  complete: true,
  readyForView: true,
};

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function visible(key: number): SceneUpdate['groups'] {
  return [0, 1, 2].map((child) => ({ key, child, visible: true, amplification: 1 }));
}

async function settle(renderer: SplatRenderer): Promise<void> {
  while (renderer.busy) {
    renderer.frame(performance.now());
    await sleep(1);
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;
}

async function run(job: Job): Promise<Outcome> {
  const { columns: scene, antialiased, views } = await fetchScene(job.url);
  const canvas = document.getElementById('canvas') as HTMLCanvasElement;
  const gl = openContext(canvas);
  const shDegree = Math.sqrt(scene.k + 1) - 1;
  const errors: Error[] = [];
  let packMs = 0;
  const worker = createWorker();
  worker.addEventListener('message', ({ data }) => {
    if (data.type === 'packed') packMs += data.ms;
  });
  const renderer = new SplatRenderer(
    gl,
    worker,
    { shDegree, antialiased, precision: job.precision, target: job.target },
    { needFrame: () => {}, committed: () => {}, failed: (error) => errors.push(error) },
  );
  renderer.setView(views[0]!, true);

  const began = performance.now();
  const uploads: number[] = [];
  let key = 0;
  for (let first = 0; first < scene.count; first += job.partSplats, key++) {
    const data = cut(scene, first, Math.min(scene.count, first + job.partSplats));
    const added = [partOf(key, 'leaf', data)];
    renderer.apply({ added, refined: [], dropped: [], groups: visible(key), progress: PROGRESS });
    const uploadBegan = performance.now();
    renderer.flush();
    uploads.push(performance.now() - uploadBegan);
    await sleep(0);
  }
  while (renderer.busy) {
    const uploadBegan = performance.now();
    renderer.flush();
    uploads.push(performance.now() - uploadBegan);
    renderer.frame(performance.now());
    await sleep(1);
  }
  const loadMs = performance.now() - began;

  const pictures: string[] = [];
  const pngs: string[] = [];
  const sorts: number[] = [];
  const delays: number[] = [];
  const frames: number[] = [];
  const read = (): Uint8Array => {
    const { drawingBufferWidth: width, drawingBufferHeight: height } = gl;
    const pixels = new Uint8Array(4 * width * height);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    return pixels;
  };
  for (let round = 0; round < 3; round++) {
    for (const view of views) {
      renderer.setView(view, true);
      await settle(renderer);
      sorts.push(renderer.stats.sortMs);
      delays.push(renderer.stats.sortDelayMs);
      const frameBegan = performance.now();
      renderer.redraw();
      renderer.frame(performance.now(), true);
      const pixels = read();
      frames.push(performance.now() - frameBegan);
      if (round > 0) continue;
      pngs.push(canvas.toDataURL('image/png'));
      pictures.push(base64(upright(pixels, gl.drawingBufferWidth)));
    }
  }

  // A refinement of one part, and a fade of many groups
  const data = cut(scene, 0, Math.min(scene.count, job.partSplats));
  const refineBegan = performance.now();
  const refined = [{ key: 0, data }];
  renderer.apply({ added: [], refined, dropped: [], groups: [], progress: PROGRESS });
  await settle(renderer);
  const refineMs = performance.now() - refineBegan;
  const groups = Array.from({ length: key }, (_, k) => k).flatMap((k) =>
    visible(k).map((state) => ({ ...state, amplification: 1.01 })),
  );
  const fadeBegan = performance.now();
  renderer.apply({ added: [], refined: [], dropped: [], groups, progress: PROGRESS });
  const fadeMs = performance.now() - fadeBegan;
  await settle(renderer);
  const { splats, target, gpuBytes } = renderer.stats;
  const dropped = Array.from({ length: key }, (_, k) => k);
  renderer.apply({ added: [], refined: [], dropped, groups: [], progress: PROGRESS });
  await settle(renderer);
  const emptyGpuBytes = renderer.stats.gpuBytes;
  const error = gl.getError();
  renderer.dispose();
  if (errors.length > 0) throw errors[0];
  return {
    pictures,
    pngs,
    splats,
    target,
    packMs,
    loadMs,
    uploadMs: uploads.reduce((a, b) => a + b, 0),
    longestUploadMs: Math.max(...uploads),
    sortMs: median(sorts),
    sortDelayMs: median(delays),
    frameMs: median(frames),
    fadeMs,
    refineMs,
    gpuBytes,
    emptyGpuBytes,
    error,
  };
}

function upright(pixels: Uint8Array, width: number): Uint8Array {
  const row = 4 * width;
  const out = new Uint8Array(pixels.length);
  for (let from = 0; from < pixels.length; from += row) {
    out.set(pixels.subarray(from, from + row), pixels.length - from - row);
  }
  return out;
}

function base64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 32768) {
    text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  }
  return btoa(text);
}

Object.assign(window, { run });
