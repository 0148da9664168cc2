// A link to this very view.

import type { ExgsViewer } from '@exgs/viewer';
import { hashOf } from './parameters.ts';
import { toast } from './toast.ts';

/** Puts the link into the address, and where the browser lets us, on the clipboard. */
export async function share(viewer: ExgsViewer): Promise<void> {
  history.replaceState(null, '', hashOf(viewer.camera));
  try {
    await navigator.clipboard.writeText(location.href);
    toast('A link to this view has been copied.');
  } catch {
    // Without https there is no clipboard.
    toast('The address bar now has the link to this view: copy it from there.');
  }
}
