// Sharpening of pictures at rest: its code is loaded when it is switched on.

import type { ExgsViewer } from '@exgs/viewer';
import type { PageData } from './boot_types.ts';
import { toast } from './toast.ts';

declare const SHARPEN_CODE: string; // its address, filled in by the build

/** Whether the code is at hand: in pages of a server, not in those of `exgs export`. */
export function canSharpen({ name }: PageData): boolean {
  return name === undefined;
}

/** Switches sharpening on or off; returns whether it is on now. Says so where the code can't be loaded. */
export async function sharpen(viewer: ExgsViewer, isOn: boolean): Promise<boolean> {
  if (!isOn) viewer.setPass(null);
  if (!isOn) return false;
  try {
    const code: typeof import('./sharpen_code.ts') = await import(/* @vite-ignore */ SHARPEN_CODE);
    viewer.setPass(code.makePass(() => viewer.redraw()));
    return true;
  } catch {
    toast('Sharpening could not be loaded.');
    return false;
  }
}
