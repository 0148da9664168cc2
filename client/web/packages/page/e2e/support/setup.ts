// Before all tests: the scenes, and whether there is a browser at all.

import { findChromium } from './browser.ts';
import { makeScenes } from './scenes.ts';

export default function setup(): void {
  if (findChromium()) makeScenes();
  else console.warn('SKIPPED: no Chromium here. Install it (apt-get install chromium) or name it: CHROMIUM=...');
}
