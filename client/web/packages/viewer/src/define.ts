// Importing this registers <exgs-viewer>, with @exgs/client behind it.

import { openScene } from '@exgs/client';
import { ExgsViewer, setOpener } from './element/viewer.ts';

setOpener((from, options) => openScene(from, options));
if (!customElements.get('exgs-viewer')) customElements.define('exgs-viewer', ExgsViewer);

declare global {
  interface HTMLElementTagNameMap {
    'exgs-viewer': ExgsViewer;
  }
}
