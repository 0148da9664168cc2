import { expect, test } from 'vitest';
import { Pace } from '../src/gl/pace.ts';

/** A GPU that finishes a frame when it is told to. */
function slowGpu(): { gl: WebGL2RenderingContext; finish: () => void } {
  let isDone = false;
  const gl = {
    SIGNALED: 1,
    fenceSync: () => {
      isDone = false;
      return {};
    },
    getSyncParameter: () => (isDone ? 1 : 0),
    deleteSync: () => {},
    flush: () => {},
    isContextLost: () => false,
  };
  return { gl: gl as unknown as WebGL2RenderingContext, finish: () => (isDone = true) };
}

test('a slow GPU gets one frame at a time, and uploads a quarter of its time before the next', () => {
  const { gl, finish } = slowGpu();
  const pace = new Pace(gl);
  expect(pace.waitsForUploads(0)).toBe(false); // the first picture does not wait
  pace.began(0);
  expect(pace.isFull(500)).toBe(true);
  finish();
  expect(pace.isFull(1000)).toBe(false);
  expect(pace.gpuMs).toBe(1000);
  expect(pace.waitsForUploads(1000)).toBe(true);
  expect(pace.waitsForUploads(1249)).toBe(true);
  expect(pace.waitsForUploads(1250)).toBe(false);
});

test('a quick GPU does not wait, and gets two frames', () => {
  const { gl, finish } = slowGpu();
  const pace = new Pace(gl);
  pace.began(0);
  finish();
  expect(pace.isFull(10)).toBe(false);
  expect(pace.waitsForUploads(10)).toBe(false);
  pace.began(10);
  expect(pace.isFull(12)).toBe(false);
  pace.began(12);
  expect(pace.isFull(14)).toBe(true);
});
