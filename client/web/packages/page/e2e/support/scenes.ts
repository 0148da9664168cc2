// Scenes for the tests, made once and kept: the sample scene at low quality, a small box, and, where the
// real scenes are, playbot.

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
const PLAYBOT_SOURCE = path.join(DATA, 'playbot.ply');

/** A real scene of 500,000 Gaussians; null where its source is missing. */
export const PLAYBOT = fs.existsSync(PLAYBOT_SOURCE) ? path.join(KEPT, 'real/playbot.exgs') : null;
export const NO_PLAYBOT = `needs ${PLAYBOT_SOURCE}; EXGS_DATA names the folder of real scenes`;

/** A folder for what a run leaves to look at. */
export function outFolder(): string {
  const folder = process.env['EXGS_E2E_OUT'] ?? path.join(KEPT, 'out');
  fs.mkdirSync(folder, { recursive: true });
  return folder;
}

/** Makes what is not there. */
export function makeScenes(): void {
  const script = path.join(import.meta.dirname, 'make_scenes.py');
  const real = PLAYBOT ? [PLAYBOT_SOURCE, PLAYBOT] : [];
  execFileSync(PYTHON, [script, scenesFolder(), ...real], { cwd: REPOSITORY, stdio: 'inherit' });
}

/** A copy of a scene in a folder of its own. */
export function copyOf(file: string, folder: string, name = path.basename(file)): string {
  fs.mkdirSync(folder, { recursive: true });
  const copy = path.join(folder, name);
  fs.copyFileSync(file, copy);
  return copy;
}
