import type { GroupState, PartAdded, SceneUpdate } from '@exgs/client/update';
import { expect, test } from 'vitest';
import { FADE_MS, type Look } from '../src/fades.ts';
import { Depot } from '../src/sort/depot.ts';
import type { Packed, Request } from '../src/sort/messages.ts';
import { BLOCK_SLOTS, type Span } from '../src/splats/layout.ts';
import { Stager } from '../src/stager.ts';
import { random } from './random.ts';
import { madeUp } from './splats.ts';

const PROGRESS = { receivedBytes: 0, fileBytes: 0, layer: 0, splats: 0, complete: false, readyForView: false };
const MOST_BLOCKS = 64;
const EVERYWHERE = { x: 0, y: 0, z: 0, offset: 1, eye: [0, 0, 0] } as const;

/** A stager with a worker that answers when it is told to, and a GPU of plain arrays. */
class Bench {
  readonly looks = new Map<number, Look>();
  readonly kinds = new Map<number, boolean>();
  readonly groupOf = new Map<number, number>(); // by slot, as uploaded
  readonly meanOf = new Map<number, number>();
  readonly stager: Stager;
  committed = 0;
  order: number[] = [];
  sorted = 0;
  readonly #depot = new Depot(0, 'half');
  readonly #requests: Request[] = [];
  #serial = 0;
  #wanted = false;

  constructor() {
    this.stager = new Stager(
      {
        post: (request) => this.#requests.push(request),
        upload: (spans, packed) => this.#upload(spans, packed),
        readLook: (group) => this.looks.get(group) ?? { opacity: 0, amplification: 1, harmonics: 0 },
        writeLook: (group, look) => this.looks.set(group, look),
        writeKind: (group, isProxy) => this.kinds.set(group, isProxy),
        wantOrder: () => {
          this.#wanted = true;
          return this.#serial + 1;
        },
        sorted: () => this.sorted,
        committed: () => this.committed++,
        failed: (error) => {
          throw error;
        },
      },
      MOST_BLOCKS,
    );
  }

  update(some: Partial<SceneUpdate>): void {
    this.stager.apply({ added: [], refined: [], dropped: [], groups: [], progress: PROGRESS, ...some });
  }

  /** The worker does what it was told, and a sort if one is wanted. */
  work(): void {
    for (const request of this.#requests.splice(0)) {
      if (request.type === 'add') {
        const { key, spans, groups, children, data } = request;
        this.stager.packed({ ...this.#depot.add(key, spans, groups, children, data), ms: 0 });
      } else if (request.type === 'refine') {
        this.stager.packed({ ...this.#depot.refine(request.key, request.data)!, ms: 0 });
      } else if (request.type === 'drop') {
        this.#depot.drop(request.key);
      } else if (request.type === 'activate') {
        this.#depot.activate(request.groups, request.active);
      }
    }
    if (!this.#wanted) return;
    this.#wanted = false;
    const { order, count } = this.#depot.sort(EVERYWHERE, null);
    this.order = [...order.subarray(0, count)];
    this.sorted = ++this.#serial;
    this.stager.proceed();
  }

  frame(elapsedMs = 16, uploads = Infinity): void {
    for (let i = 0; i < uploads && this.stager.uploadNext(); i++);
    this.stager.proceed();
    this.stager.step(elapsedMs, FADE_MS);
  }

  settle(): void {
    for (let i = 0; i < 200 && this.stager.busy; i++) {
      this.work();
      this.frame();
    }
    expect(this.stager.busy).toBe(false);
  }

  /** Blocks with slots that are taken. */
  get blocks(): number {
    return Array.from({ length: MOST_BLOCKS }, (_, block) => this.stager.rows(block)).filter((rows) => rows > 0).length;
  }

  /** Bytes of the worker's arrays. */
  get workerBytes(): number {
    return this.#depot.bytes;
  }

  /** First coordinates of the means that are drawn, with their opacity factors. */
  drawn(): Map<number, number> {
    const out = new Map<number, number>();
    for (const slot of this.order) {
      const { opacity } = this.looks.get(this.groupOf.get(slot)!)!;
      if (opacity > 0) out.set(this.meanOf.get(slot)!, (out.get(this.meanOf.get(slot)!) ?? 0) + opacity);
    }
    return out;
  }

  #upload(spans: readonly Span[], packed: Packed): void {
    let i = 0;
    for (const { start, count } of spans) {
      for (let slot = start; slot < start + count; slot++, i++) {
        if (packed.groups) this.groupOf.set(slot, packed.groups[i]!);
        if (packed.a) this.meanOf.set(slot, new Float32Array(packed.a.buffer)[4 * i]!);
      }
    }
  }
}

/** A part of two children whose splats are told apart by `name` in their first coordinates. */
function part(key: number, name: number, sizes: readonly [number, number]): PartAdded {
  const count = sizes[0] + sizes[1];
  const data = madeUp(count);
  for (let i = 0; i < count; i++) data.means[3 * i] = name;
  return { key, kind: 'leaf', layer: 0, tile: 0, count, children: Uint32Array.from(sizes), data };
}

const show = (key: number, visible = true): GroupState[] =>
  [0, 1].map((child) => ({ key, child, visible, amplification: 1 }));

test('what replaces fades in as what is replaced fades out, and not before it can be drawn', () => {
  const bench = new Bench();
  bench.update({ added: [part(1, 1, [3, 4])], groups: show(1) });
  bench.settle();
  expect(bench.drawn()).toEqual(new Map([[1, 7]]));
  bench.update({ added: [part(2, 2, [3, 4])], groups: show(2), dropped: [1] });
  for (let i = 0; i < 5; i++) {
    bench.frame(); // the worker has not answered
    expect(bench.drawn()).toEqual(new Map([[1, 7]]));
  }
  for (let i = 0; i < 60; i++) {
    bench.work();
    bench.frame();
    const drawn = bench.drawn();
    expect((drawn.get(1) ?? 0) + (drawn.get(2) ?? 0)).toBeCloseTo(7, 9);
  }
  expect(bench.drawn()).toEqual(new Map([[2, 7]]));
});

test('groups of proxies are told from those of leaves, also where their numbers were used before', () => {
  const bench = new Bench();
  const proxy = { ...part(1, 1, [2, 2]), kind: 'proxy' as const };
  bench.update({ added: [proxy], groups: show(1) });
  bench.settle();
  expect([...bench.kinds.values()]).toEqual([true, true]);
  bench.update({ dropped: [1] });
  bench.settle();
  bench.update({ added: [part(2, 2, [2, 2])], groups: show(2) });
  bench.settle();
  const drawn = bench.order.map((slot) => bench.kinds.get(bench.groupOf.get(slot)!));
  expect(drawn).toEqual([false, false, false, false]);
});

test('a key that comes again names the new part, though the old one is still fading', () => {
  const bench = new Bench();
  bench.update({ added: [part(1, 1, [2, 2])], groups: show(1) });
  bench.settle();
  bench.update({ dropped: [1] });
  bench.update({ added: [part(1, 5, [1, 2])], groups: show(1) });
  bench.settle();
  expect(bench.drawn()).toEqual(new Map([[5, 3]]));
});

test('a group that is wanted back while it fades out stays in the order', () => {
  const bench = new Bench();
  bench.update({ added: [part(1, 1, [2, 2]), part(2, 2, [2, 2])], groups: show(1) });
  bench.settle();
  bench.update({ groups: [...show(1, false), ...show(2)] });
  bench.work();
  bench.frame();
  bench.frame();
  bench.update({ added: [part(3, 3, [1, 0])], groups: [...show(1), ...show(2, false), ...show(3)] });
  for (let i = 0; i < 40; i++) bench.frame(); // it fades out wholly before the worker answers
  bench.settle();
  expect(bench.drawn()).toEqual(new Map([[1, 4], [3, 1]]));
});

test('refinements change what is there, and a refinement of what is gone does nothing', () => {
  const bench = new Bench();
  bench.update({ added: [part(1, 1, [2, 2])], groups: show(1) });
  bench.update({ refined: [{ key: 1, data: { means: Float32Array.from({ length: 12 }, () => 9) } }] });
  bench.settle();
  expect(bench.drawn()).toEqual(new Map([[9, 4]]));
  bench.update({ refined: [{ key: 7, data: { opacities: new Float32Array(4) } }] });
  bench.settle();
});

test('whatever comes in whatever order, what is drawn at the end is what was told', () => {
  for (let seed = 0; seed < 12; seed++) {
    const next = random(seed);
    const bench = new Bench();
    const wanted = new Map<number, { name: number; sizes: readonly number[]; visible: boolean[] }>();
    let name = 1;
    let updates = 0;
    for (let round = 0; round < 150; round++) {
      const added: PartAdded[] = [];
      const dropped: number[] = [];
      const groups: GroupState[] = [];
      for (let key = 0; key < 8; key++) {
        const has = wanted.get(key);
        const chance = next();
        if (!has && chance < 0.3) {
          const sizes = [Math.floor(next() * 90), 1 + Math.floor(next() * 90)] as const;
          const visible = [next() < 0.7, next() < 0.7];
          added.push(part(key, name, sizes));
          groups.push(...visible.map((is, child) => show(key, is)[child]!));
          wanted.set(key, { name: name++, sizes, visible });
        } else if (has && chance < 0.15) {
          dropped.push(key);
          wanted.delete(key);
        } else if (has && chance < 0.4) {
          const child = next() < 0.5 ? 0 : 1;
          has.visible[child] = !has.visible[child];
          groups.push(show(key, has.visible[child])[child]!);
        }
      }
      bench.update({ added, dropped, groups });
      updates++;
      if (next() < 0.5) bench.work();
      if (next() < 0.7) bench.frame(100 * next());
    }
    bench.settle();
    const shown = [...wanted.values()].map(({ name, sizes, visible }) => {
      return [name, sizes.reduce((sum, size, child) => sum + (visible[child] ? size : 0), 0)] as const;
    });
    expect(bench.drawn()).toEqual(new Map(shown.filter(([, size]) => size > 0).sort()));
    expect(bench.committed).toBe(updates);
    bench.update({ dropped: [...wanted.keys()] });
    bench.settle();
    expect(bench.blocks).toBe(0);
  }
});

test('a long flight with a slow GPU takes no more memory than the budget bounds', () => {
  // The client keeps to its budget and brings four times what a frame uploads
  const [budget, partSplats] = [2 * BLOCK_SLOTS, 8192];
  const most = budget / partSplats;
  const perFrame = 12;
  const data = madeUp(partSplats);
  const children = Uint32Array.of(partSplats / 2, partSplats / 2);
  const next = random(5);
  const bench = new Bench();
  const held: number[] = [];
  let [key, heldBack] = [0, 0];
  const blocks: number[] = [];
  for (let round = 0; round < 70; round++) {
    if (bench.stager.isBehind) heldBack++;
    else {
      const added = Array.from({ length: perFrame }, (): PartAdded => {
        return { key: key++, kind: 'leaf', layer: 0, tile: 0, count: partSplats, children, data };
      });
      held.push(...added.map((it) => it.key));
      const dropped = Array.from({ length: Math.max(0, held.length - most) }, () => {
        return held.splice(Math.floor(next() * (held.length - perFrame)), 1)[0]!;
      });
      bench.update({ added, dropped, groups: added.flatMap((it) => show(it.key)) });
    }
    bench.work();
    bench.frame(1000, 3);
    blocks.push(bench.blocks);
    expect(bench.workerBytes).toBeLessThanOrEqual(bench.blocks * 8 * 4 * BLOCK_SLOTS);
  }
  expect(heldBack).toBeGreaterThan(5);
  // Twice the budget and one update, at least four fifths of the room in use
  const bound = Math.ceil((2 * budget + perFrame * partSplats) / BLOCK_SLOTS / 0.8) + 1;
  expect(Math.max(...blocks)).toBeLessThanOrEqual(bound);
  expect(Math.max(...blocks.slice(35))).toBeLessThanOrEqual(Math.max(...blocks.slice(0, 35)));
  bench.update({ dropped: held });
  bench.settle();
  bench.work();
  expect(bench.blocks).toBe(0);
  expect(bench.workerBytes).toBe(0);
});
