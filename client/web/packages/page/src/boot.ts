// Runs inside the HTML, before any other code has come: asks for the first bytes of the scene and
// starts the workers, so that all of it is on its way at once.

import type { Boot, PageData } from './boot_types.ts';
import { storedToken } from './stored_token.ts';
import { startWorker } from './start_worker.ts';

declare const CLIENT_WORKER: string; // places, filled in by the build
declare const SORT_WORKER: string;

const FIRST_BYTES = 65536;

const data: PageData = JSON.parse(document.getElementById('exgs-data')?.textContent || '{}');
const content = new URLSearchParams(location.search).get('content') || data.content || '';
const boot: Boot = { data, content, first: null, clientWorker: null, sortWorker: null };

if (content || data.embedded) {
  const token = data.token ? storedToken() : null;
  if (content && (token || !data.token)) {
    const headers: Record<string, string> = { Range: `bytes=0-${FIRST_BYTES - 1}` };
    if (token) headers['Authorization'] = `Bearer ${token}`;
    boot.first = fetch(content, { headers, credentials: 'same-origin' });
    boot.first.catch(() => {}); // whoever uses it hears of it
  }
  boot.clientWorker = startWorker(CLIENT_WORKER);
  boot.sortWorker = startWorker(SORT_WORKER);
}
(window as unknown as { exgsBoot: Boot }).exgsBoot = boot;
