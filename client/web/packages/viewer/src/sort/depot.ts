// The worker's state: base words of every splat by slot, and which runs of slots belong to which
// group. It packs new splats and sorts active ones by the depth of their means. It knows no messages.

import type { SplatData } from '@exgs/client/update';
import { BLOCK_BITS, BLOCK_SLOTS, WORDS, type ShPrecision, type Span } from '../splats/layout.ts';
import { packBase, packSh } from '../splats/pack.ts';
import type { Measured, Packed, Plane } from './messages.ts';
import { RadixSort } from './radix.ts';

// Splats up to about 20 degrees behind the camera's plane stay in the order: a quick turn may show
// them before the next order is there. sin(20 degrees)^2:
const BEHIND = 0.117;

const SAMPLE = 8192; // splats that a measurement looks at
const HELD = 0.8; // share of them within the ball
const ROUND = 1.25; // the ball is made larger by this

interface Block {
  readonly a: Uint32Array;
  readonly b: Uint32Array;
  readonly floats: Float32Array; // a as f32
  used: number; // slots that belong to a part
}

interface Part {
  readonly count: number;
  readonly spans: readonly Span[];
  readonly runs: readonly Run[];
}

interface Run extends Span {
  readonly group: number;
}

export class Depot {
  readonly #shDegree: number;
  readonly #precision: ShPrecision;
  readonly #blocks = new Map<number, Block>();
  readonly #parts = new Map<number, Part>();
  readonly #radix = new RadixSort();
  #active = new Uint8Array(1024);
  #runs: readonly Run[] | null = null; // of all parts by slot

  constructor(shDegree: number, precision: ShPrecision) {
    this.#shDegree = shDegree;
    this.#precision = precision;
  }

  add(
    key: number,
    spans: readonly Span[],
    groups: number,
    children: Uint32Array,
    data: SplatData,
  ): Omit<Packed, 'ms'> {
    const count = data.opacities.length;
    const part = { count, spans, runs: runsOf(spans, groups, children) };
    this.#parts.set(key, part);
    this.#runs = null;
    for (const span of spans) this.#block(span.start >> BLOCK_BITS).used += span.count;
    const a = new Uint32Array(WORDS * count);
    const b = new Uint32Array(WORDS * count);
    packBase(data, { a, b });
    this.#store(part, a, b);
    const ofSplat = new Uint32Array(count);
    let first = 0;
    children.forEach((splats, child) => {
      ofSplat.fill(groups + child, first, first + splats);
      first += splats;
    });
    return { type: 'packed', key, fresh: true, a, b, groups: ofSplat, sh: this.#sh(data, count) };
  }

  /** Null where the part has been dropped. */
  refine(key: number, data: Partial<SplatData>): Omit<Packed, 'ms'> | null {
    const part = this.#parts.get(key);
    if (!part) return null;
    const inA = Boolean(data.means || data.opacities || data.sh0);
    const inB = Boolean(data.quats || data.scales || data.sh0);
    const a = this.#load(part, 'a');
    const b = this.#load(part, 'b');
    packBase(data, { a, b });
    this.#store(part, a, b);
    const sh = this.#sh(data, part.count);
    return { type: 'packed', key, fresh: false, a: inA ? a : null, b: inB ? b : null, groups: null, sh };
  }

  /** Forgets a part, and blocks that nothing else is in. */
  drop(key: number): void {
    for (const { start, count } of this.#parts.get(key)?.spans ?? []) {
      const block = this.#block(start >> BLOCK_BITS);
      block.used -= count;
      if (block.used === 0) this.#blocks.delete(start >> BLOCK_BITS);
    }
    this.#parts.delete(key);
    this.#runs = null;
  }

  /** Bytes of the blocks. */
  get bytes(): number {
    return this.#blocks.size * 2 * 4 * WORDS * BLOCK_SLOTS;
  }

  /** Groups that are not active are left out of the order. */
  activate(groups: Uint32Array, active: boolean): void {
    const most = groups.reduce((a, b) => Math.max(a, b), 0);
    if (most >= this.#active.length) {
      const grown = new Uint8Array(2 * most + 2);
      grown.set(this.#active);
      this.#active = grown;
    }
    for (const group of groups) this.#active[group] = active ? 1 : 0;
  }

  /** Slots of active groups by falling depth; written to `into` where it is long enough. */
  sort(plane: Plane, into: Uint32Array | null): { order: Uint32Array; count: number } {
    this.#runs ??= [...this.#parts.values()]
      .sort((p, q) => (p.spans[0]?.start ?? 0) - (q.spans[0]?.start ?? 0))
      .flatMap((part) => part.runs);
    let most = 0;
    for (const run of this.#runs) if (this.#active[run.group]) most += run.count;
    const radix = this.#radix;
    radix.reserve(most);
    const count = this.#keys(this.#runs, plane);
    radix.sort(count);
    const order = into && into.length >= count ? into : new Uint32Array(Math.ceil(count * 1.1));
    order.set(radix.ids.subarray(0, count));
    return { order, count };
  }

  /** A ball around most of the active splats, without distant floaters; from a sample. */
  measure(): Omit<Measured, 'type'> {
    const runs = [...this.#parts.values()].flatMap((part) => part.runs);
    const active = runs.filter((run) => this.#active[run.group]);
    const count = active.reduce((sum, run) => sum + run.count, 0);
    const step = Math.max(1, Math.ceil(count / SAMPLE));
    const points: [number, number, number][] = [];
    let skip = 0;
    for (const run of active) {
      const { floats } = this.#block(run.start >> BLOCK_BITS);
      for (; skip < run.count; skip += step) {
        const j = WORDS * ((run.start + skip) & (BLOCK_SLOTS - 1));
        points.push([floats[j]!, floats[j + 1]!, floats[j + 2]!]);
      }
      skip -= run.count;
    }
    const quantile = (values: number[], share: number): number =>
      values.sort((p, q) => p - q)[Math.floor(share * (values.length - 1))] ?? 0;
    const middle = (axis: number): number => quantile(points.map((p) => p[axis]!), 0.5);
    const center = [middle(0), middle(1), middle(2)] as const;
    const away = points.map((p) => Math.hypot(p[0] - center[0], p[1] - center[1], p[2] - center[2]));
    return { center, radius: quantile(away, HELD) * ROUND };
  }

  /** Fills the sort with a key and a slot for each active splat; returns how many. */
  #keys(runs: readonly Run[], { x, y, z, offset, eye }: Plane): number {
    const { keys, ids } = this.#radix;
    const depths = new Float32Array(keys.buffer);
    const [eyeX, eyeY, eyeZ] = eye;
    let n = 0;
    for (const run of runs) {
      if (!this.#active[run.group]) continue;
      const { floats } = this.#block(run.start >> BLOCK_BITS);
      const end = run.start + run.count;
      let j = WORDS * (run.start & (BLOCK_SLOTS - 1));
      for (let slot = run.start; slot < end; slot++, j += WORDS) {
        const px = floats[j]!;
        const py = floats[j + 1]!;
        const pz = floats[j + 2]!;
        const depth = x * px + y * py + z * pz + offset;
        if (depth < 0) {
          const square = (px - eyeX) ** 2 + (py - eyeY) ** 2 + (pz - eyeZ) ** 2;
          if (depth * depth > BEHIND * square) continue;
        }
        depths[n] = depth;
        const bits = keys[n]!;
        // Rising keys for falling depths: of floats above 0 all bits turned, below 0 as they are
        keys[n] = bits & 0x80000000 ? bits : ~bits & 0x7fffffff;
        ids[n++] = slot;
      }
    }
    return n;
  }

  #sh(data: Partial<SplatData>, count: number): Uint32Array | null {
    if (!data.shN || this.#shDegree === 0) return null;
    return packSh(data.shN, count, this.#shDegree, this.#precision);
  }

  #store(part: Part, a: Uint32Array, b: Uint32Array): void {
    let from = 0;
    for (const { start, count } of part.spans) {
      const block = this.#block(start >> BLOCK_BITS);
      const at = WORDS * (start & (BLOCK_SLOTS - 1));
      block.a.set(a.subarray(from, from + WORDS * count), at);
      block.b.set(b.subarray(from, from + WORDS * count), at);
      from += WORDS * count;
    }
  }

  #load(part: Part, layer: 'a' | 'b'): Uint32Array {
    const out = new Uint32Array(WORDS * part.count);
    let to = 0;
    for (const { start, count } of part.spans) {
      const at = WORDS * (start & (BLOCK_SLOTS - 1));
      out.set(this.#block(start >> BLOCK_BITS)[layer].subarray(at, at + WORDS * count), to);
      to += WORDS * count;
    }
    return out;
  }

  #block(number: number): Block {
    let block = this.#blocks.get(number);
    if (!block) {
      const a = new Uint32Array(WORDS * BLOCK_SLOTS);
      block = { a, b: new Uint32Array(a.length), floats: new Float32Array(a.buffer), used: 0 };
      this.#blocks.set(number, block);
    }
    return block;
  }
}

/** Runs of slots of one group each. */
function runsOf(spans: readonly Span[], groups: number, children: Uint32Array): Run[] {
  const runs: Run[] = [];
  let child = 0;
  let left = children[0] ?? 0;
  for (const span of spans) {
    let { start, count } = span;
    while (count > 0) {
      while (left === 0 && child < children.length) left = children[++child] ?? 0;
      if (left === 0) return runs;
      const some = Math.min(left, count);
      runs.push({ start, count: some, group: groups + child });
      start += some;
      count -= some;
      left -= some;
    }
  }
  return runs;
}
