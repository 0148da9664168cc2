// Runs inside the HTML, before any other code has arrived: requests the first bytes of the scene and
// starts the workers, so that everything is on its way at once.

import { FRONT_BYTES } from '@exgs/client';
import type { Boot, PageData } from './boot_types.ts';
import { storedToken } from './stored_token.ts';
import { startWorker } from './start_worker.ts';

declare const CLIENT_WORKER: string; // addresses, filled in by the build
declare const SORT_WORKER: string;

const data: PageData = JSON.parse(document.getElementById('exgs-data')?.textContent || '{}');
const content = new URLSearchParams(location.search).get('content') || data.content || '';
const boot: Boot = { data, content, first: null, clientWorker: null, sortWorker: null };

if (content || data.embedded) {
  const token = data.token ? storedToken() : null;
  if (content && (token || !data.token)) {
    const headers: Record<string, string> = { Range: `bytes=0-${FRONT_BYTES - 1}` };
    if (token) headers['Authorization'] = `Bearer ${token}`;
    boot.first = fetch(content, { headers, credentials: 'same-origin' });
    boot.first.catch(() => {}); // its users handle the failure
  }
  boot.clientWorker = isHere(CLIENT_WORKER) ? startWorker(CLIENT_WORKER) : null;
  boot.sortWorker = isHere(SORT_WORKER) ? startWorker(SORT_WORKER) : null;
}
(window as unknown as { exgsBoot: Boot }).exgsBoot = boot;

/** Where the code is part of the page, it comes after this script: then the viewer starts its workers. */
function isHere(place: string): boolean {
  return !place.startsWith('#') || document.getElementById(place.slice(1)) !== null;
}
