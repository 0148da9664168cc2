// The root index: what the scene is, its first chunks, and the places of the pages
// (spec/format.md, section 5).

import { toHex } from '../bytes/hash.ts';
import {
  AMPLIFICATION_MAX,
  AMPLIFICATION_MIN,
  HASH_BYTES,
  MAX_CHUNKS,
  MAX_LAYERS,
  MAX_PAGES,
  MAX_PAGE_RAW_BYTES,
  MAX_QUALITY_POINTS,
  MAX_SCENE_COUNT,
  MAX_SH_DEGREE,
  MAX_TILE_LEVEL,
} from '../constants.ts';
import type { Box, HomeView, LayerFacts, QualityPoint, SceneFacts } from '../update.ts';
import { Fields } from './fields.ts';
import { unpackChecked } from './frame.ts';
import type { Header } from './header.ts';
import { readRows, type ChunkRows, type PageRow } from './rows.ts';

const SECTION = 'root index';

/** The root index. */
export interface RootIndex {
  readonly facts: SceneFacts;
  /** Null where the file has no poster. */
  readonly posterHash: Uint8Array | null;
  readonly first: ChunkRows;
  readonly pages: readonly PageRow[];
  /** Chunks of the whole file. */
  readonly chunkCount: number;
}

/** Reads the root index, whose hash has been checked; raises every class of FormatError. */
export function readRoot(packed: Uint8Array, header: Header, sceneHash: Uint8Array): RootIndex {
  const part = { section: SECTION, rawBytes: header.rootRawBytes, hash: header.rootHash };
  const fields = Fields.read(unpackChecked(part, packed), SECTION);
  const layers = readLayers(fields);
  const count = fields.integer('count', MAX_SCENE_COUNT);
  if (layers.reduce((sum, layer) => sum + layer.leaves, 0) !== count) {
    throw fields.damaged('the layers do not add up to the scene');
  }
  const shDegree = fields.integer('sh_degree', MAX_SH_DEGREE);
  const posterHash = fields.has('poster_hash') ? fields.bytes('poster_hash') : null;
  if ((posterHash !== null) !== header.posterBytes > 0) {
    throw fields.damaged("'poster_hash' and the header disagree about a poster");
  }
  if (posterHash && posterHash.length !== HASH_BYTES) {
    throw fields.damaged("'poster_hash' is not a hash");
  }
  const texts = {
    name: fields.text('name'),
    credit: fields.text('credit'),
    license: fields.text('license'),
    encoder: fields.text('encoder'),
    crs: fields.has('crs') ? fields.text('crs') : null,
  };
  const chunks = fields.nested('chunks');
  const listed = chunks.column('kind', 'u8', MAX_CHUNKS).length;
  const rootBytes = chunks.column('packed', 'u32', MAX_CHUNKS).reduce((sum, n) => sum + n, 0);
  const place = {
    page: 0,
    region: { level: 0, tile: 0 },
    firstChunk: 0,
    areaStart: header.posterEnd,
    areaEnd: header.posterEnd + rootBytes,
  };
  const first = readRows(chunks, place, layers, shDegree);
  const pages = readPages(fields, header, layers, listed, place.areaEnd);
  const chunkCount = pages.reduce((sum, page) => sum + page.chunkCount, listed);
  const boxes = [...first.boxes.values(), ...pages.map((page) => page.box)];
  const facts: SceneFacts = {
    ...texts,
    count,
    shDegree,
    antialiased: fields.boolean('antialiased'),
    up: fields.vector('up'),
    origin: fields.vector('origin'),
    home: fields.has('home') ? readHome(fields.nested('home')) : null,
    layers,
    quality: readQuality(fields),
    fileBytes: header.fileBytes,
    hash: toHex(sceneHash),
    box: boxes.reduce(joinBoxes, boxes[0] ?? { low: [0, 0, 0], high: [0, 0, 0] }),
  };
  return { facts, posterHash, first, pages, chunkCount };
}

/** The smallest box that holds both. */
export function joinBoxes(a: Box, b: Box): Box {
  const low = [0, 1, 2].map((i) => Math.min(a.low[i]!, b.low[i]!)) as unknown as Box['low'];
  const high = [0, 1, 2].map((i) => Math.max(a.high[i]!, b.high[i]!)) as unknown as Box['high'];
  return { low, high };
}

function readLayers(fields: Fields): LayerFacts[] {
  const types = { level: 'u8', leaves: 'u32', proxies: 'u32', amplification: 'f32' } as const;
  const columns = fields.nested('layers').columns(types, MAX_LAYERS);
  if (columns.rows === 0) throw fields.damaged('there are no layers');
  return Array.from({ length: columns.rows }, (_, i) => {
    const level = columns.level[i]!;
    const amplification = columns.amplification[i]!;
    if (level > MAX_TILE_LEVEL) throw fields.limit(`tile level ${level}`);
    if (i > 0 && level < columns.level[i - 1]!) {
      throw fields.damaged('tile levels decrease from one layer to the next');
    }
    if (!(amplification >= AMPLIFICATION_MIN && amplification <= AMPLIFICATION_MAX)) {
      throw fields.damaged(`an amplification of ${amplification}`);
    }
    return { level, leaves: columns.leaves[i]!, proxies: columns.proxies[i]!, amplification };
  });
}

function readQuality(fields: Fields): QualityPoint[] {
  const types = { bytes: 'u64', psnr: 'f32', ssim: 'f32' } as const;
  const columns = fields.nested('quality').columns(types, MAX_QUALITY_POINTS);
  return Array.from({ length: columns.rows }, (_, i) => {
    const [bytes, psnr, ssim] = [columns.bytes[i]!, columns.psnr[i]!, columns.ssim[i]!];
    if (!Number.isFinite(psnr) || !(Math.abs(ssim) <= 1)) {
      throw fields.damaged('a quality point is not a number');
    }
    if (i > 0 && bytes <= columns.bytes[i - 1]!) {
      throw fields.damaged('the quality points do not rise');
    }
    return { bytes, psnr, ssim };
  });
}

function readHome(fields: Fields): HomeView {
  const home = {
    eye: fields.vector('eye'),
    forward: fields.vector('forward'),
    fovY: fields.number('fov_y'),
  };
  if (home.forward.every((value) => value === 0) || !(home.fovY > 0 && home.fovY < Math.PI)) {
    throw fields.damaged('the home view is none');
  }
  return home;
}

const PAGE_COLUMNS = {
  chunks: 'u32',
  bytes: 'u64',
  raw: 'u32',
  packed: 'u32',
  group: 'u16',
  level: 'u8',
  tile: 'u16',
  gain: 'f32',
} as const;

function readPages(
  fields: Fields,
  header: Header,
  layers: readonly LayerFacts[],
  firstChunk: number,
  start: number,
): PageRow[] {
  const table = fields.nested('pages');
  const columns = table.columns(PAGE_COLUMNS, MAX_PAGES);
  const hashes = table.hashes(columns.rows);
  const boxes = table.boxes(columns.rows);
  const lastLevel = layers[layers.length - 1]!.level;
  let position = start;
  let groupStart = 0; // row
  const areas: [number, number][] = [];
  const offsets: number[] = [];
  for (let i = 0; i < columns.rows; i++) {
    const [count, raw, packed] = [columns.chunks[i]!, columns.raw[i]!, columns.packed[i]!];
    if (raw > MAX_PAGE_RAW_BYTES || packed > MAX_PAGE_RAW_BYTES) {
      throw fields.limit(`page ${i + 1} is too large`);
    }
    if (!raw || !packed || !count) throw fields.damaged(`page ${i + 1} is empty`);
    if (columns.level[i]! > lastLevel || columns.tile[i]! >= 2 ** columns.level[i]!) {
      throw fields.damaged(`page ${i + 1} lies in no tile`);
    }
    if (!Number.isFinite(columns.gain[i]!)) throw fields.damaged(`page ${i + 1} has no gain`);
    const step = columns.group[i]! - (i > 0 ? columns.group[i - 1]! : 0);
    if (step !== 0 && (step !== 1 || i === 0)) throw fields.damaged('groups of pages do not rise by 1');
    if (step === 1) groupStart = i;
    offsets.push(position);
    position += packed;
    if (columns.group[i + 1] !== columns.group[i]) {
      const bytes = columns.bytes.subarray(groupStart, i + 1).reduce((sum, n) => sum + n, 0);
      for (let row = groupStart; row <= i; row++) areas.push([position, position + bytes]);
      position += bytes;
    }
  }
  const total = columns.chunks.reduce((sum, n) => sum + n, firstChunk);
  if (total > MAX_CHUNKS) throw fields.limit(`${total} chunks`);
  if (total === 0) throw fields.damaged('there are no chunks');
  if (position !== header.fileBytes) {
    throw fields.damaged(`the parts end at ${position}, the file at ${header.fileBytes}`);
  }
  let next = firstChunk;
  return Array.from({ length: columns.rows }, (_, i) => {
    const page: PageRow = {
      id: i + 1,
      group: columns.group[i]!,
      level: columns.level[i]!,
      tile: columns.tile[i]!,
      firstChunk: next,
      chunkCount: columns.chunks[i]!,
      chunkBytes: columns.bytes[i]!,
      rawBytes: columns.raw[i]!,
      packedBytes: columns.packed[i]!,
      hash: hashes[i]!,
      offset: offsets[i]!,
      box: boxes[i]!,
      gain: columns.gain[i]!,
      areaStart: areas[i]![0],
      areaEnd: areas[i]![1],
      section: `page ${i + 1}`,
    };
    next += page.chunkCount;
    return page;
  });
}
