// How fast a file is decoded, in CPU time of one core: EXGS_FILE=FILE.exgs npm run bench.
// Exits with 1 where that is less than LEAST_RATE.

import { readFileSync } from 'node:fs';
import { ChunkKind } from '../src/constants.ts';
import { unpackChecked } from '../src/format/frame.ts';
import { FilePusher } from '../src/format/pusher.ts';
import { childCount, isGeometry } from '../src/format/rows.ts';
import { decodeColors, decodeShapes, readGeometry } from '../src/payload/geometry.ts';
import { SceneBuilder } from '../src/scene/builder.ts';

const FILE = process.env.EXGS_FILE ?? '../../../../demo/sample.exgs';
const LEAST_RATE = 0.8e6; // leaves a second, the whole file
const PASSES = 7;

function cpuS(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Seconds of the first pass, whose code is not compiled yet, and of the quickest. */
function time(run: () => void): { firstS: number; bestS: number } {
  const passesS = Array.from({ length: PASSES }, () => {
    const startS = cpuS();
    run();
    return cpuS() - startS;
  });
  return { firstS: passesS[0]!, bestS: Math.min(...passesS) };
}

const pusher = new FilePusher();
const chunks = await pusher.push(new Uint8Array(readFileSync(FILE)));
const { facts } = pusher.head!.root;
const geometry = chunks.filter(({ row }) => isGeometry(row));
const splats = geometry.reduce((sum, { row }) => sum + row.count, 0);
const unpackedBytes = chunks.reduce((sum, { row }) => sum + row.rawBytes, 0);

const whole = time(() => {
  const builder = new SceneBuilder(pusher.table!);
  for (const { row, bytes } of chunks) if (row.kind !== ChunkKind.EXTRA) builder.add(row, bytes);
  builder.take();
});
const unpack = time(() => {
  for (const { row, bytes } of chunks) unpackChecked(row, bytes);
});
const decode = time(() => {
  for (const { row, bytes } of geometry) {
    const children = childCount(facts.layers, row.layer);
    const read = readGeometry(unpackChecked(row, bytes), row, children, facts.shDegree);
    decodeShapes(read);
    decodeColors(read);
  }
});

const millions = (count: number, seconds: number): string => (count / seconds / 1e6).toFixed(2);
console.log(
  `${FILE}: whole file ${millions(facts.count, whole.bestS)} million leaves/s` +
    ` (${millions(facts.count, whole.firstS)} before the code is compiled)` +
    ` · LEAF and PROXY ${millions(splats, decode.bestS)} million Gaussians/s` +
    ` · zstd ${millions(unpackedBytes, unpack.bestS)} MB/s`,
);
if (facts.count / whole.bestS < LEAST_RATE) {
  console.error(`less than ${LEAST_RATE / 1e6} million leaves/s`);
  process.exitCode = 1;
}
