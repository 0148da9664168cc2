// In the browser: what the script of the element tests needs at hand.

import { ExgsViewer, setOpener } from '../../src/index.ts';
import { fetchScene } from '../scenes.ts';
import { FakeSource } from './fake_source.ts';

customElements.define('exgs-viewer', ExgsViewer);

const heard: string[] = [];

/** Notes every event of a viewer but `camera` and `progress`. */
function note(viewer: ExgsViewer): void {
  for (const type of ['open', 'firstpicture', 'ready', 'complete', 'error', 'panel']) {
    viewer.addEventListener(type, (event) => {
      const detail = (event as CustomEvent).detail;
      heard.push(type === 'error' ? `error: ${detail.message}` : type);
    });
  }
}

/** Draw calls of full pictures, and the pixels of those on the canvas (every 97th) while recording. */
const counts = { triangles: 0, recording: false, frames: [] as number[][] };
const drawArrays = WebGL2RenderingContext.prototype.drawArrays;
WebGL2RenderingContext.prototype.drawArrays = function (...args) {
  counts.triangles++;
  drawArrays.apply(this, args);
  if (!counts.recording || this.getParameter(this.FRAMEBUFFER_BINDING) !== null) return;
  const pixels = new Uint8Array(4 * this.drawingBufferWidth * this.drawingBufferHeight);
  const { drawingBufferWidth: width, drawingBufferHeight: height } = this;
  this.readPixels(0, 0, width, height, this.RGBA, this.UNSIGNED_BYTE, pixels);
  counts.frames.push(Array.from({ length: Math.floor(pixels.length / 388) }, (_, i) => pixels[388 * i]!));
};

/**
 * While `tickMs` is set, time moves on by it from one animation frame to the next: what fades then moves
 * by the same steps on a machine of any speed.
 */
const clock = { tickMs: null as number | null, nowMs: 0 };
const request = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (callback) =>
  request((nowMs) => {
    clock.nowMs = clock.tickMs === null ? nowMs : clock.nowMs + clock.tickMs;
    callback(clock.nowMs);
  });

Object.assign(window, { clock, fetchScene, FakeSource, ExgsViewer, setOpener, heard, note, counts });
