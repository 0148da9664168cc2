// Scenes for the tests, made once and kept: the sample scene at low quality, a small box, and playbot and
// fox where the real scenes are available.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { PYTHON, REPOSITORY } from './servers.ts';

const KEPT = path.join(REPOSITORY, 'client/web/.e2e');

/** The folder with sample.exgs and box.exgs. */
export function scenesFolder(): string {
  return path.join(KEPT, 'scenes');
}

export const SAMPLE = path.join(KEPT, 'scenes/sample.exgs');
export const BOX = path.join(KEPT, 'scenes/box.exgs');

/** The real scenes: EXGS_DATA, or shared/data beside the repository. */
const DATA = process.env['EXGS_DATA'] ?? path.resolve(REPOSITORY, '../shared/data');

/** Real scenes: 500,000 Gaussians made by an artist, and 75,000 trained from photographs. */
export const REAL = ['playbot', 'fox'];

/** The encoded file of a real scene; null where its source is missing. */
export function realScene(name: string): string | null {
  return fs.existsSync(sourceOf(name)) ? path.join(KEPT, `real/${name}.exgs`) : null;
}

/** Why a test of a real scene is skipped. */
export function missing(name: string): string {
  return `needs ${sourceOf(name)}; EXGS_DATA names the folder of real scenes`;
}

function sourceOf(name: string): string {
  return path.join(DATA, `${name}.ply`);
}

/** A folder for what a run leaves to look at. */
export function outFolder(): string {
  const folder = process.env['EXGS_E2E_OUT'] ?? path.join(KEPT, 'out');
  fs.mkdirSync(folder, { recursive: true });
  return folder;
}

/** Makes what is not there. */
export function makeScenes(): void {
  const script = path.join(import.meta.dirname, 'make_scenes.py');
  const real = REAL.flatMap((name) => {
    const file = realScene(name);
    return file ? [sourceOf(name), file] : [];
  });
  execFileSync(PYTHON, [script, scenesFolder(), ...real], { cwd: REPOSITORY, stdio: 'inherit' });
}

/** A copy of a scene in a folder of its own. */
export function copyOf(file: string, folder: string, name = path.basename(file)): string {
  fs.mkdirSync(folder, { recursive: true });
  const copy = path.join(folder, name);
  fs.copyFileSync(file, copy);
  return copy;
}
