// <exgs-viewer> in one file for pages of others: they name it by its address. Workers start from code
// within, since a worker can't be loaded from another origin.

import { openScene } from '@exgs/client';
import { ExgsViewer, setOpener, setWorkerFactory } from '@exgs/viewer';

declare const CLIENT_CODE: string; // filled in by the build
declare const SORT_CODE: string;

const start = (code: string) => (): Worker => {
  const url = URL.createObjectURL(new Blob([code], { type: 'text/javascript' }));
  const worker = new Worker(url);
  URL.revokeObjectURL(url);
  return worker;
};

setWorkerFactory(start(SORT_CODE));
setOpener((from, options) => openScene(from, { ...options, worker: start(CLIENT_CODE) }));
if (!customElements.get('exgs-viewer')) customElements.define('exgs-viewer', ExgsViewer);

export { ExgsViewer };
