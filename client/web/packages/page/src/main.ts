// The page's entry: shows the scene that the address names, or the catalogue.

import type { Boot } from './boot_types.ts';
import { showCatalogue } from './catalogue.ts';
import { showScene } from './scene/show.ts';

const { exgsBoot: boot } = window as unknown as { exgsBoot: Boot };

if (boot.content || boot.data.embedded) showScene(boot);
else void showCatalogue(boot);
