// All figures of the viewer but those of flights, with one command: npm run figures -- FILE.exgs
// Decode rate, packing and sorting in CPU time; upload and sort of 150,000, 500,000 and 2 million splats in
// Chromium; tasks of the main thread over 50 ms while FILE loads, and what the page holds then.

import { spawnSync } from 'node:child_process';
import path from 'node:path';

const [file] = process.argv.slice(2);
if (!file) {
  console.error('name a scene: npm run figures -- FILE.exgs');
  process.exit(1);
}
const scene = path.resolve(process.env.INIT_CWD ?? '.', file);
const viewer = path.resolve(import.meta.dirname, '..');
const client = path.resolve(viewer, '../client');
const steps = [
  ['Decoding', client, 'npm', ['run', '--silent', 'bench'], { EXGS_FILE: scene }],
  ['Packing and sorting', viewer, 'npm', ['run', '--silent', 'bench'], {}],
  ['Uploading and sorting in Chromium', viewer, 'node', ['tests/pictures/sizes.mjs'], {}],
  ['Loading', viewer, 'node', ['tests/flight/tasks.mjs', scene], {}],
];
let failures = 0;
for (const [title, cwd, command, words, more] of steps) {
  console.log(`\n${title}`);
  const { status } = spawnSync(command, words, { cwd, stdio: 'inherit', env: { ...process.env, ...more } });
  if (status !== 0) failures++;
}
process.exitCode = failures > 0 ? 1 : 0;
