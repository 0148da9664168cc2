// `exgs export`, as a person calls it.

import { execFileSync } from 'node:child_process';
import { PYTHON } from './servers.ts';

/** Writes a page with the scene, or one that reads it from a URL. */
export function exportPage(scene: string, out: string, ...options: string[]): void {
  execFileSync(PYTHON, ['-m', 'exgs.cli.main', 'export', scene, '-o', out, '-q', ...options]);
}
