// The page of one scene, as its parts know it.

import type { ExgsViewer } from '@exgs/viewer';
import type { Boot } from '../boot_types.ts';
import type { Parameters } from '../parameters.ts';
import type { Opened } from './open.ts';

/** What the parts of the page share. */
export interface ScenePage {
  readonly boot: Boot;
  readonly parameters: Parameters;
  readonly viewer: ExgsViewer;
  readonly opened: Opened;
  /** Shows a file of the user. */
  openFile(file: File): void;
  /** Opens the scene of the address, or opens it again. */
  open(): void;
}
