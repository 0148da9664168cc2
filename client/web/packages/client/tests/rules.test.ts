// Pages of the chunk table in any order, and what can be judged without some of them.

import { describe, expect, test } from 'vitest';
import { ChunkKind } from '../src/constants.ts';
import { DamagedError } from '../src/errors.ts';
import { readHead } from '../src/format/head.ts';
import { readPage } from '../src/format/page.ts';
import { covers, type ChunkRow, type ChunkRows, type PageRow } from '../src/format/rows.ts';
import { ChunkTable } from '../src/format/table.ts';
import { randomFrom } from './support/random.ts';
import { readVector } from './support/samples.ts';

/** regions.exgs: the table as its root index gives it, and its pages. */
async function open(): Promise<{ table: ChunkTable; pages: { page: PageRow; rows: ChunkRows }[] }> {
  const file = readVector('valid/regions.exgs');
  const { root } = await readHead(file);
  const pages = root.pages.map((page) => {
    const packed = file.subarray(page.offset, page.offset + page.packedBytes);
    return { page, rows: readPage(packed, page, root.facts) };
  });
  return { table: new ChunkTable(root), pages };
}

function changed(table: ChunkRows, change: (row: ChunkRow) => Partial<ChunkRow>): ChunkRows {
  return { ...table, rows: table.rows.map((row) => ({ ...row, ...change(row) })) };
}

test('a region covers itself and what is inside it', () => {
  const quarter = { level: 2, tile: 1 };
  expect(covers(quarter, quarter)).toBe(true);
  expect(covers(quarter, { level: 4, tile: 7 })).toBe(true);
  expect(covers(quarter, { level: 4, tile: 8 })).toBe(false);
  expect(covers(quarter, { level: 1, tile: 0 })).toBe(false);
});

describe('pages in any order', () => {
  // Page 6, of tile 0 of level 1, refines tile 1 of level 2: page 3 lists that, page 2 lists tile 0.
  const missing = async (...ids: number[]): Promise<{ table: ChunkTable; worse: () => void; third: () => void }> => {
    const { table, pages } = await open();
    for (const { page, rows } of pages) if (!ids.includes(page.id)) table.addPage(page, rows);
    const [third, sixth] = [pages[2]!, pages[5]!];
    const worse = changed(sixth.rows, ({ count }) => ({ count: count + 1 }));
    return {
      table,
      worse: () => table.addPage(sixth.page, worse),
      third: () => table.addPage(third.page, third.rows),
    };
  };

  test('a row is judged without the pages beside its cell', async () => {
    const { worse } = await missing(2, 6);
    expect(worse).toThrow(DamagedError);
    expect(worse).toThrow(/rows for/);
  });

  test('a row waits for the page that lists its cell', async () => {
    const { worse, third } = await missing(3, 6);
    expect(worse).not.toThrow();
    expect(third).toThrow(/rows for/);
  });

  test('sound pages are sound in any order', async () => {
    const random = randomFrom(3);
    for (let round = 0; round < 20; round++) {
      const { table, pages } = await open();
      const order = pages.map((entry) => ({ entry, place: random() })).sort((a, b) => a.place - b.place);
      for (const { entry } of order) table.addPage(entry.page, entry.rows);
      expect(table.isComplete).toBe(true);
    }
  });

  test('sums are held against whatever has come', async () => {
    const { table, pages } = await open();
    const { page, rows } = pages.at(-1)!;
    const many = changed(rows, ({ kind, count }) => ({ count: kind === ChunkKind.LEAF ? 4000 : count }));
    expect(() => table.addPage(page, many)).toThrow(/more Gaussians/);
  });
});
