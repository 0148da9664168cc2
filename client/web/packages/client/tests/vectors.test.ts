// Every file of spec/vectors/valid and spec/vectors/invalid, checked as spec/format.md says.

import { describe, expect, test } from 'vitest';
import { ShownScene } from '../src/scene/shown.ts';
import { SceneBuilder } from '../src/scene/builder.ts';
import { FormatError, TruncatedError } from '../src/errors.ts';
import { FilePusher } from '../src/format/pusher.ts';
import type { DrawnSplats } from '../src/scene/shown.ts';
import { listVectors, readJson, readVector } from './support/samples.ts';

interface Draw {
  readonly values: string;
  readonly count: number;
  readonly k: number;
  readonly bytes?: number;
  readonly without?: number;
}

const valid = readJson<Record<string, { shows: string; draws: Draw[] }>>('valid/index.json');
const invalid = readJson<Record<string, { error: string; problem: string }>>('invalid/index.json');

/** Decodes a prefix in blocks; chunks that are left out never come, or come last. */
async function draw(data: Uint8Array, without = -1, block = data.length): Promise<DrawnSplats> {
  const pusher = new FilePusher();
  const scene = new ShownScene();
  let builder: SceneBuilder | null = null;
  for (let at = 0; at < data.length; at += block) {
    for (const { row, bytes } of await pusher.push(data.subarray(at, at + block))) {
      builder ??= new SceneBuilder(pusher.table!);
      if (row.id === without) continue;
      const [fault] = builder.add(row, bytes);
      if (fault) throw fault.error;
      const change = builder.take();
      if (change) scene.apply(change);
    }
  }
  if (!pusher.head) throw new TruncatedError('it is cut', 'file', pusher.neededBytes);
  if (builder) {
    expect(builder.splats).toBe(scene.drawn().count);
  }
  return scene.drawn();
}

function expectClose(name: string, got: Float32Array, wanted: Float32Array, rowLength: number): void {
  expect(got.length, name).toBe(wanted.length);
  for (let row = 0; row * rowLength < wanted.length; row++) {
    let scale = 0;
    for (let i = 0; i < rowLength; i++) scale = Math.max(scale, Math.abs(wanted[row * rowLength + i]!));
    for (let i = row * rowLength; i < (row + 1) * rowLength; i++) {
      const off = Math.abs(got[i]! - wanted[i]!);
      if (!(off <= 4e-6 * scale + 1e-30)) expect.fail(`${name}[${i}]: ${got[i]} is not ${wanted[i]}`);
    }
  }
}

describe('valid files', () => {
  for (const [name, { shows, draws }] of Object.entries(valid)) {
    for (const { values, count, k, bytes, without } of draws) {
      test(`${values}: ${shows}`, async () => {
        const data = readVector(`valid/${name}.exgs`).subarray(0, bytes);
        const golden = readVector(`valid/${values}`);
        const numbers = new Float32Array(golden.buffer, golden.byteOffset, golden.length / 4);
        const lengths = [3, 4, 3, 1, 3, 3 * k, 1].map((width) => width * count);
        expect(numbers.length).toBe(lengths.reduce((sum, length) => sum + length, 0));
        let at = 0;
        const arrays = lengths.map((length) => numbers.subarray(at, (at += length)));
        const [means, quats, scales, opacities, sh0, shN, isProxy] = arrays as [
          Float32Array, Float32Array, Float32Array, Float32Array, Float32Array, Float32Array, Float32Array,
        ];
        for (const block of [data.length, 97]) {
          const drawn = await draw(data, without, block);
          expect(drawn.count).toBe(count);
          expectClose('means', drawn.means, means, 3);
          expectClose('quats', drawn.quats, quats, 4);
          expectClose('scales', drawn.scales, scales, 1);
          expectClose('opacities', drawn.opacities, opacities, 1);
          expectClose('sh0', drawn.sh0, sh0, 3);
          if (drawn.coefficients) {
            expect(drawn.coefficients).toBe(k);
            expectClose('shN', drawn.shN!, shN, 3 * k);
          } else expect(shN.every((value) => value === 0)).toBe(true);
          expect([...drawn.isProxy]).toEqual([...isProxy]);
        }
      });
    }
  }
});

describe('invalid files', () => {
  for (const [name, { error, problem }] of Object.entries(invalid)) {
    test(`${name}: ${problem}`, async () => {
      const data = readVector(`invalid/${name}.exgs`);
      const fault = await draw(data).then(
        () => null,
        (reason: unknown) => reason,
      );
      expect(fault).toBeInstanceOf(FormatError);
      expect((fault as FormatError).errorClass, String(fault)).toBe(error);
    });
  }

  test('each file is in the index', () => {
    const files = listVectors('invalid').filter((file) => file.endsWith('.exgs'));
    expect(files.length).toBe(Object.keys(invalid).length);
  });
});
