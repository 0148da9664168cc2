// The element alone, played to by a source of its own: poster, fades, hands, fingers, keys, lost contexts.

import { execFile, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { findChromium } from './support/browser.ts';
import { outFolder } from './support/scenes.ts';
import { PYTHON, REPOSITORY } from './support/servers.ts';

const TESTS = path.join(REPOSITORY, 'client/web/packages/viewer/tests');
const LIMIT_MS = 600_000; // drawn by software, on a busy machine

test.skipIf(!findChromium())('the element does all that it should', { timeout: LIMIT_MS }, async () => {
  const folder = fs.mkdtempSync(path.join(outFolder(), 'element-'));
  execFileSync(PYTHON, [path.join(TESTS, 'pictures/dump.py'), folder, 'sample=sample:20000'], { cwd: REPOSITORY });
  const script = path.join(TESTS, 'element/run.mjs');
  const { stdout } = await promisify(execFile)('node', [script, folder, 'sample']).catch((error) => error);
  fs.cpSync(path.join(folder, 'element'), path.join(outFolder(), 'element'), { recursive: true });
  fs.rmSync(folder, { recursive: true });
  expect(String(stdout).split('\n').filter((line) => line.startsWith('FAIL'))).toEqual([]);
  expect(stdout).toMatch(/ 0 failed$/m);
});
