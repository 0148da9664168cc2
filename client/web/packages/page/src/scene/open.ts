// How this page opens a scene: with the request and the workers that were begun before its code came,
// the token of the session, and what the address asks for.

import { openScene, type Scene } from '@exgs/client';
import { setOpener } from '@exgs/viewer';
import type { Boot } from '../boot_types.ts';
import type { Parameters } from '../parameters.ts';
import { storedToken } from '../stored_token.ts';
import { toast } from '../toast.ts';
import { adoptSortWorker, clientWorker } from '../workers.ts';
import { embeddedAnswer } from './embedded.ts';

/** The scene that was opened last, and the rate that it and those after it get. */
export interface Opened {
  scene: Scene | null;
  /** Bytes per second, Infinity for no limit. */
  rate: number;
}

/** Has viewers open scenes this way from now on. */
export function installOpener(boot: Boot, parameters: Parameters): Opened {
  const opened: Opened = { scene: null, rate: parameters.rate ?? Infinity };
  adoptSortWorker(boot);
  setOpener((from, options) => {
    const first = firstAnswer(boot, from);
    const token = boot.data.token ? storedToken() : null;
    opened.scene = openScene(from, {
      ...options,
      transport: boot.data.embedded ? 'static' : parameters.transport,
      rate: opened.rate,
      worker: () => clientWorker(boot),
      ...(boot.data.embedded && { cache: false }),
      ...(token && { token }),
      ...(first && { first }),
    });
    opened.scene.addEventListener('changed', () => {
      toast('The scene has changed on the server. This is the new one.');
    });
    return opened.scene;
  });
  return opened;
}

/** The answer that is on its way for this scene; there is one, once. */
function firstAnswer(boot: Boot, from: string | Blob): Promise<Response> | null {
  if (from instanceof Blob) return null;
  if (boot.data.embedded) return Promise.resolve(embeddedAnswer(boot.data.embedded));
  const { first } = boot;
  boot.first = null;
  return new URL(boot.content, location.href).href === from ? first : null;
}
