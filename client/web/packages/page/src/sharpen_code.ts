// What is loaded when sharpening is switched on: the pass, and the weights within its code.

import { SharpenPass } from '@exgs/viewer/sharpen';

declare const SHARPEN_WEIGHTS: string; // base64, filled in by the build

/** A pass with the shipped weights. */
export function makePass(redraw: () => void): SharpenPass {
  const bytes = Uint8Array.from(atob(SHARPEN_WEIGHTS), (letter) => letter.charCodeAt(0));
  return new SharpenPass(bytes.buffer, redraw);
}
