// Messages and remedies when a scene can't be shown.

import { SceneError } from '@exgs/client';
import type { ScenePage } from './scene/page.ts';
import { storeToken } from './stored_token.ts';
import { askForToken, say } from './dialog.ts';

const UNAUTHORIZED = 401;

/** Shows an error, with a remedy where there is one. */
export async function showTrouble(page: ScenePage, error: Error): Promise<void> {
  document.getElementById('poster')?.remove();
  const status = error instanceof SceneError ? error.status : 0;
  if (status === UNAUTHORIZED) {
    await askToken(page.open, true);
    return;
  }
  const isReached = error instanceof SceneError && (status > 0 || error.errorClass !== null);
  const url = page.boot.content ? new URL(page.boot.content, location.href) : null;
  if (isReached || !url || url.origin === location.origin) return; // the viewer has shown it
  if (await answers(url)) {
    say(
      'That server does not let this page read the scene',
      `${url.origin} answers, but not to pages of other origins. Its responses need these headers:`,
      [
        `Access-Control-Allow-Origin: ${location.origin}`,
        'Access-Control-Expose-Headers: Content-Range, ETag',
      ].join('\n'),
    );
  } else {
    say('That server cannot be reached', `${url.origin} does not answer. Is the address right?`);
  }
}

/** Asks for a token, and goes on with it. */
export async function askToken(then: () => void, isWrong = false): Promise<void> {
  const token = await askForToken(isWrong);
  if (token === null) return;
  storeToken(token);
  then();
}

/** Whether a server answers at all; the answer itself cannot be read. */
async function answers(url: URL): Promise<boolean> {
  try {
    await fetch(url, { mode: 'no-cors', method: 'HEAD' });
    return true;
  } catch {
    return false;
  }
}
