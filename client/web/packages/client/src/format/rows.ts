// Rows of the chunk table and of the page table, and how they are read (spec/format.md, section 6).

import {
  BASIS_HEAD_BYTES,
  COLUMN_BYTES_MAX,
  ChunkKind,
  FINE_COLUMNS,
  FINE_HEAD_BYTES,
  GEOMETRY_COLUMNS,
  GEOMETRY_HEAD_BYTES,
  MAX_BASES,
  MAX_CHUNKS,
  MAX_CHUNK_COUNT,
  MAX_CHUNK_RAW_BYTES,
  SH_HEAD_BYTES,
} from '../constants.ts';
import { UnsupportedError } from '../errors.ts';
import type { Box, LayerFacts } from '../update.ts';
import type { Fields } from './fields.ts';

/** A tile of some level: the region that a page lists chunks of. */
export interface Region {
  readonly level: number;
  readonly tile: number;
}

/** Whether `inner` is the region `outer` or a part of it. */
export function covers(outer: Region, inner: Region): boolean {
  const finer = inner.level - outer.level;
  return finer >= 0 && inner.tile >>> finer === outer.tile;
}

/** One row of the chunk table. */
export interface ChunkRow {
  readonly id: number;
  /** EXTRA for every kind from 128 on. */
  readonly kind: number;
  readonly layer: number;
  readonly tile: number;
  readonly count: number;
  readonly rawBytes: number;
  readonly packedBytes: number;
  readonly gain: number;
  readonly hash: Uint8Array;
  readonly offset: number;
  /** The page that lists it, 0 for the root index. */
  readonly page: number;
  readonly section: string;
}

/** One row of the page table. */
export interface PageRow extends Region {
  /** From 1 on. */
  readonly id: number;
  readonly group: number;
  readonly firstChunk: number;
  readonly chunkCount: number;
  /** Packed bytes of all its chunks together. */
  readonly chunkBytes: number;
  readonly rawBytes: number;
  readonly packedBytes: number;
  readonly hash: Uint8Array;
  readonly offset: number;
  readonly box: Box;
  readonly gain: number;
  /** The place of the chunks of its group. */
  readonly areaStart: number;
  readonly areaEnd: number;
  readonly section: string;
}

/** A table of chunks: its rows, and the boxes of the cells that begin in it. */
export interface ChunkRows {
  readonly rows: readonly ChunkRow[];
  /** By `cellKey`. */
  readonly boxes: ReadonlyMap<number, Box>;
}

/** What the rows of a table have to agree with. */
export interface TablePlace {
  readonly page: number;
  readonly region: Region;
  readonly firstChunk: number;
  readonly areaStart: number;
  readonly areaEnd: number;
}

/** One number for a cell. */
export function cellKey(layer: number, tile: number): number {
  return layer * 65536 + tile;
}

/** Whether a row is a LEAF or a PROXY. */
export function isGeometry(row: ChunkRow): boolean {
  return row.kind === ChunkKind.LEAF || row.kind === ChunkKind.PROXY;
}

/** Number of the children of a cell of this layer. */
export function childCount(layers: readonly LayerFacts[], layer: number): number {
  const next = layers[layer + 1];
  return next ? 2 ** (next.level - layers[layer]!.level) : 1;
}

const COLUMNS = {
  kind: 'u8',
  layer: 'u8',
  tile: 'u16',
  count: 'u32',
  raw: 'u32',
  packed: 'u32',
  gain: 'f32',
  gap: 'u64',
} as const;

const KNOWN_KINDS = new Set<number>(Object.values(ChunkKind));

/** Reads the rows of a table and checks each by itself; raises every class of FormatError. */
export function readRows(
  fields: Fields,
  place: TablePlace,
  layers: readonly LayerFacts[],
  shDegree: number,
): ChunkRows {
  const columns = fields.columns(COLUMNS, MAX_CHUNKS);
  const hashes = fields.hashes(columns.rows);
  const rows: ChunkRow[] = [];
  const firsts = new Set<number>();
  let position = place.areaStart;
  for (let i = 0; i < columns.rows; i++) {
    const id = place.firstChunk + i;
    const named = columns.kind[i]!;
    if (named < ChunkKind.EXTRA && !KNOWN_KINDS.has(named)) {
      throw new UnsupportedError(`chunk ${id} is of unknown kind ${named}`, fields.section);
    }
    const kind = Math.min(named, ChunkKind.EXTRA);
    const layer = columns.layer[i]!;
    const tile = columns.tile[i]!;
    const offset = position + columns.gap[i]!;
    const row: ChunkRow = {
      id,
      kind,
      layer,
      tile,
      count: columns.count[i]!,
      rawBytes: columns.raw[i]!,
      packedBytes: columns.packed[i]!,
      gain: columns.gain[i]!,
      hash: hashes[i]!,
      offset,
      page: place.page,
      section: `chunk ${id} (${KIND_NAMES[kind]}, layer ${layer}, tile ${tile})`,
    };
    checkRow(row, fields, place, layers, shDegree);
    if (isGeometry(row)) firsts.add(cellKey(layer, tile));
    rows.push(row);
    position = offset + row.packedBytes;
  }
  const cells = [...firsts];
  const boxes = fields.boxes(cells.length);
  return { rows, boxes: new Map(cells.map((cell, index) => [cell, boxes[index]!])) };
}

const KIND_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(ChunkKind).map(([name, kind]) => [kind, name]),
);

function checkRow(
  row: ChunkRow,
  fields: Fields,
  place: TablePlace,
  layers: readonly LayerFacts[],
  shDegree: number,
): void {
  const { id, kind, layer, tile, count, rawBytes, packedBytes } = row;
  const facts = layers[layer];
  if (!facts || tile >= 2 ** facts.level) {
    throw fields.damaged(`chunk ${id} lies in no cell (${layer}, ${tile})`);
  }
  if (kind === ChunkKind.BASIS) {
    if (layer || tile || count) throw fields.damaged(`chunk ${id}: a BASIS belongs to no cell`);
    if (place.region.level) throw fields.damaged(`chunk ${id}: a BASIS in a region`);
  } else if (!covers(place.region, { level: facts.level, tile })) {
    throw fields.damaged(`chunk ${id} lies outside of the page's region`);
  }
  if (!rawBytes || !packedBytes) throw fields.damaged(`chunk ${id} is empty`);
  if (!Number.isFinite(row.gain)) throw fields.damaged(`chunk ${id} has gain ${row.gain}`);
  if (rawBytes > MAX_CHUNK_RAW_BYTES || packedBytes > MAX_CHUNK_RAW_BYTES) {
    throw fields.limit(`chunk ${id} has ${Math.max(rawBytes, packedBytes)} bytes`);
  }
  if (count > MAX_CHUNK_COUNT) throw fields.limit(`chunk ${id} has ${count} Gaussians`);
  if (row.offset + packedBytes > place.areaEnd) {
    throw fields.damaged(`chunk ${id} ends behind the area of its group`);
  }
  const [least, most] = rawRange(kind, count, childCount(layers, layer), shDegree);
  if (rawBytes < least || rawBytes > most) {
    throw fields.damaged(`chunk ${id} cannot have ${rawBytes} bytes unpacked`);
  }
}

function rawRange(kind: number, n: number, children: number, degree: number): [number, number] {
  const size = 3 * (degree + 1) ** 2;
  const mostSh = SH_HEAD_BYTES + size + (COLUMN_BYTES_MAX * size + Math.ceil(size / 8)) * n;
  switch (kind) {
    case ChunkKind.LEAF:
    case ChunkKind.PROXY: {
      const least = GEOMETRY_HEAD_BYTES + 4 * children;
      const most = least + GEOMETRY_COLUMNS * COLUMN_BYTES_MAX * n;
      return [least, kind === ChunkKind.LEAF ? most : most + 2 * size * size + mostSh];
    }
    case ChunkKind.FINE:
      return [FINE_HEAD_BYTES, FINE_HEAD_BYTES + FINE_COLUMNS * COLUMN_BYTES_MAX * n];
    case ChunkKind.SH:
      return [SH_HEAD_BYTES, mostSh];
    case ChunkKind.BASIS:
      return [BASIS_HEAD_BYTES, BASIS_HEAD_BYTES + 2 * MAX_BASES * size * size];
    default:
      return [1, MAX_CHUNK_RAW_BYTES];
  }
}
