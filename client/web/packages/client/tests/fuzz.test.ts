// Files with changed bytes: typed errors, in bounded time and memory.

import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { crc32c } from '../src/bytes/crc32c.ts';
import { decodeFile } from '../src/decoder.ts';
import { FormatError } from '../src/errors.ts';
import { readJson, readVector } from './support/samples.ts';
import { randomFrom } from './support/random.ts';

const names = Object.keys(readJson<Record<string, unknown>>('valid/index.json'));

/** Makes header checksum and root hash right again, so that what lies deeper is reached. */
function healed(file: Uint8Array): Uint8Array {
  if (file.length < 64) return file;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const rootEnd = 64 + view.getUint32(24, true);
  if (rootEnd <= file.length) {
    file.set(createHash('sha256').update(file.subarray(64, rootEnd)).digest().subarray(0, 16), 32);
  }
  view.setUint32(60, crc32c(file.subarray(0, 60)), true);
  return file;
}

test('500 changed files give typed errors, quickly', async () => {
  const random = randomFrom(6);
  const before = process.memoryUsage().rss;
  let refused = 0;
  for (let i = 0; i < 500; i++) {
    let file = readVector(`valid/${names[Math.floor(random() * names.length)]!}.exgs`).slice();
    const edge = random() < 0.5 ? Math.min(file.length, 1200) : file.length;
    for (let k = 0; k <= random() * 4; k++) {
      const at = Math.floor(random() * edge);
      const how = random();
      if (how < 0.5) file[at]! ^= 1 << Math.floor(random() * 8);
      else if (how < 0.7) file[at] = random() < 0.5 ? 255 : 0;
      else if (how < 0.8) file = file.slice(0, at + 1);
      else if (how < 0.9) file.copyWithin(at, Math.floor(random() * file.length));
      else file = Uint8Array.from([...file.subarray(0, at), random() * 256, ...file.subarray(at)]);
    }
    const startMs = performance.now();
    await decodeFile(healed(file)).catch((error: unknown) => {
      if (!(error instanceof FormatError)) throw error;
      refused += 1;
    });
    expect(performance.now() - startMs).toBeLessThan(2000);
  }
  expect(refused).toBeGreaterThan(200);
  expect(process.memoryUsage().rss - before).toBeLessThan(400 << 20);
});
