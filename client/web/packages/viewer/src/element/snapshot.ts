// The picture on a canvas as a file.

import { ViewerError } from '../errors.ts';
import type { SplatRenderer } from '../renderer.ts';

const TRIES = 100;
const WAIT_MS = 50; // from one to the next

/** Draws a frame and reads it; rejects with ViewerError where there is no renderer or no picture. */
export async function snapshotOf(
  renderer: () => SplatRenderer | null,
  canvas: HTMLCanvasElement,
  type: string,
  quality?: number,
): Promise<Blob> {
  for (let tries = 0; tries < TRIES; tries++) {
    const now = renderer();
    if (!now) break;
    now.redraw();
    if (now.frame(performance.now(), true).drew) return blobOf(canvas, type, quality);
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS)); // the camera has jumped
  }
  throw new ViewerError('argument', 'There is no picture yet.');
}

/** What a canvas shows: to be called in the task that drew it. */
function blobOf(canvas: HTMLCanvasElement, type: string, quality?: number): Promise<Blob> {
  return new Promise((resolve, reject) => {
    const done = (blob: Blob | null): void => {
      if (blob) resolve(blob);
      else reject(new ViewerError('webgl', 'The picture could not be read.'));
    };
    canvas.toBlob(done, type, quality);
  });
}
