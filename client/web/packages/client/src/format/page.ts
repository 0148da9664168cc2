// A page of the chunk table (spec/format.md, section 6).

import type { SceneFacts } from '../update.ts';
import { Fields } from './fields.ts';
import { unpackChecked } from './frame.ts';
import { readRows, type ChunkRows, type PageRow } from './rows.ts';

/** Reads a page, whose hash has been checked; raises every class of FormatError. */
export function readPage(packed: Uint8Array, page: PageRow, facts: SceneFacts): ChunkRows {
  const fields = Fields.read(unpackChecked(page, packed), page.section);
  const place = {
    page: page.id,
    region: page,
    firstChunk: page.firstChunk,
    areaStart: page.areaStart,
    areaEnd: page.areaEnd,
  };
  const table = readRows(fields, place, facts.layers, facts.shDegree);
  const bytes = table.rows.reduce((sum, row) => sum + row.packedBytes, 0);
  if (table.rows.length !== page.chunkCount || bytes !== page.chunkBytes) {
    throw fields.damaged('its chunks are not those that the root index announces');
  }
  return table;
}
