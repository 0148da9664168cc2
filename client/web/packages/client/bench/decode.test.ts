// How fast a file is decoded, in CPU time of one core: npm run bench, with EXGS_FILE for the file.

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ChunkKind } from '../src/constants.ts';
import { unpackChecked } from '../src/format/frame.ts';
import { FilePusher, type PushedChunk } from '../src/format/pusher.ts';
import { childCount, isGeometry } from '../src/format/rows.ts';
import { decodeColors, decodeShapes, readGeometry } from '../src/payload/geometry.ts';
import { SceneBuilder } from '../src/scene/builder.ts';

const FILE = process.env.EXGS_FILE ?? '../../../../demo/sample.exgs';
const LEAST_RATE = 0.8e6; // Gaussians a second
const PASSES = 5;

function cpuS(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** The quickest of some passes, seconds. */
function quickest(run: () => void): number {
  let best = Infinity;
  for (let pass = 0; pass < PASSES; pass++) {
    const startS = cpuS();
    run();
    best = Math.min(best, cpuS() - startS);
  }
  return best;
}

test(`decode rate of ${FILE}`, async () => {
  const pusher = new FilePusher();
  const chunks: PushedChunk[] = await pusher.push(new Uint8Array(readFileSync(FILE)));
  const { facts } = pusher.head!.root;
  const geometry = chunks.filter(({ row }) => isGeometry(row));
  const splats = geometry.reduce((sum, { row }) => sum + row.count, 0);
  const unpacked = geometry.reduce((sum, { row }) => sum + row.rawBytes, 0);

  const unpackS = quickest(() => {
    for (const { row, bytes } of geometry) unpackChecked(row, bytes);
  });
  const decodeS = quickest(() => {
    for (const { row, bytes } of geometry) {
      const children = childCount(facts.layers, row.layer);
      const read = readGeometry(unpackChecked(row, bytes), row, children, facts.shDegree);
      decodeShapes(read);
      decodeColors(read);
    }
  });
  const wholeS = quickest(() => {
    const builder = new SceneBuilder(pusher.table!);
    for (const { row, bytes } of chunks) if (row.kind !== ChunkKind.EXTRA) builder.add(row, bytes);
    builder.take();
  });
  console.log(
    `LEAF and PROXY: ${(splats / decodeS / 1e6).toFixed(2)} million Gaussians/s` +
      ` · zstd: ${(unpacked / unpackS / 1e6).toFixed(0)} MB/s` +
      ` · whole file, SH and FINE included: ${(facts.count / wholeS / 1e6).toFixed(2)} million leaves/s`,
  );
  expect(splats / decodeS).toBeGreaterThan(LEAST_RATE);
});
