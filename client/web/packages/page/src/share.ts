// A link to this very view.

import type { ExgsViewer } from '@exgs/viewer';
import { hashOf } from './parameters.ts';
import { toast } from './toast.ts';

/** Puts the link into the address, and where the browser lets us, on the clipboard. */
export async function share(viewer: ExgsViewer): Promise<void> {
  history.replaceState(null, '', hashOf(viewer.camera));
  try {
    await navigator.clipboard.writeText(location.href);
    toast('The link to this view is on the clipboard.');
  } catch {
    // Without https there is no clipboard.
    toast('The address of this page is the link to this view now: copy it from there.');
  }
}
