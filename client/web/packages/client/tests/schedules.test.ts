// The orders of spec/vectors/schedules: what goes next, step by step.

import { expect, test } from 'vitest';
import type { Sketch } from '../src/flow/sketch.ts';
import { isPage, pageId, pagePart } from '../src/flow/parts.ts';
import { readHead } from '../src/format/head.ts';
import { readPage } from '../src/format/page.ts';
import type { View } from '../src/update.ts';
import { quietReceiver } from './support/receiver.ts';
import { readJson, readVector } from './support/samples.ts';

interface Step {
  readonly view?: { viewmat: number[]; K: number[]; size: [number, number] } | null;
  readonly sketch?: [x: number, y: number, z: number, radius: number, opacity: number][];
  readonly cancel?: number[];
  readonly want?: number[];
  readonly again?: number[];
  readonly takes?: number;
  readonly order: [part: number, offset: number, length: number][];
}

interface Schedule {
  readonly name: string;
  readonly shows: string;
  readonly file: string;
  readonly knows: 'all' | 'root';
  readonly fragment: number;
  readonly have?: { chunks: number[]; pages: number[]; partial: [number, number][] };
  readonly steps: Step[];
}

function viewOf({ viewmat, K, size }: NonNullable<Step['view']>): View {
  return {
    viewmat: Float64Array.from(viewmat),
    K: Float64Array.from(K),
    width: size[0],
    height: size[1],
  };
}

function sketchOf(points: NonNullable<Step['sketch']>): Sketch {
  return {
    means: points.flatMap(([x, y, z]) => [x, y, z]),
    radii: points.map(([, , , radius]) => radius),
    opacities: points.map(([, , , , opacity]) => opacity),
  };
}

for (const schedule of readJson<Schedule[]>('schedules/index.json')) {
  test(`${schedule.name}: ${schedule.shows}`, async () => {
    const file = readVector(`valid/${schedule.file}`);
    const receiver = quietReceiver();
    receiver.open(await readHead(file));
    const { scheduler, plan, head } = receiver;
    const addPage = (part: number): void => {
      const page = plan!.pages[pageId(part) - 1]!;
      const packed = file.subarray(page.offset, page.offset + page.packedBytes);
      scheduler!.addPage(page, readPage(packed, page, head!.root.facts));
    };
    if (schedule.knows === 'all') for (const { id } of plan!.pages) addPage(pagePart(id));
    const { have } = schedule;
    for (const chunk of have?.chunks ?? []) scheduler!.mark(chunk, plan!.length(chunk));
    for (const page of have?.pages ?? []) scheduler!.mark(pagePart(page), plan!.length(pagePart(page)));
    for (const [part, bytes] of have?.partial ?? []) scheduler!.mark(part, bytes);

    for (const step of schedule.steps) {
      if (step.view !== undefined) scheduler!.setView(step.view && viewOf(step.view));
      if (step.sketch) scheduler!.setSketch(sketchOf(step.sketch));
      if (step.cancel) scheduler!.cancel(step.cancel);
      if (step.want) scheduler!.want(step.want);
      if (step.again) scheduler!.want(step.again, true);
      const order: Step['order'] = [];
      while (order.length < (step.takes ?? Infinity)) {
        const slice = scheduler!.next(schedule.fragment);
        if (!slice) break;
        scheduler!.record(slice);
        order.push([slice.part, slice.offset, slice.length]);
        const { part } = slice;
        if (isPage(part) && scheduler!.isWhole(part) && !plan!.table.hasPage(pageId(part))) addPage(part);
      }
      expect(order).toEqual(step.order);
    }
  });
}
