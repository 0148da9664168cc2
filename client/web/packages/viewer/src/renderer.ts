// The renderer: takes transactions and cameras, draws frames when asked to. It owns the GPU's copy of
// the scene and one worker. Nothing happens between frames but messages of the worker.

import type { PartAdded, Progress, SceneUpdate, View } from '@exgs/client/update';
import { ViewerError } from './errors.ts';
import { FADE_MS, Fades, type Change, type Look } from './fades.ts';
import { GroupTable } from './gl/group_table.ts';
import { Passes, eyeOf, type PicturePass, type Target } from './gl/passes.ts';
import { Store } from './gl/store.ts';
import type { Measured, Packed, Plane, Reply, Request, Sorted } from './sort/messages.ts';
import { FreeList } from './splats/free_list.ts';
import { BLOCK_ROWS, type ShPrecision } from './splats/layout.ts';
import { Slots } from './splats/slots.ts';
import { groupsOf, type NextState, type Part, type Stage } from './stage.ts';

const UPLOAD_MS = 5; // of a frame
const HIDDEN: Look = { opacity: 0, amplification: 1, harmonics: 0 };

export interface RendererOptions {
  readonly shDegree: number;
  readonly antialiased: boolean;
  readonly precision: ShPrecision;
  readonly target: Target;
  readonly fadeMs?: number;
}

/** What a renderer tells its owner. */
export interface RendererEvents {
  /** Something has changed: ask for a frame. */
  readonly needFrame: () => void;
  /** A transaction has begun to show. */
  readonly committed: (progress: Progress) => void;
  readonly failed: (error: ViewerError) => void;
}

export interface FrameReport {
  readonly drew: boolean;
  /** Whether the next frame will differ. */
  readonly again: boolean;
}

/** Figures for a panel. */
export interface RendererStats {
  readonly splats: number; // in the order
  readonly sortMs: number; // the last sort, in the worker
  readonly sortDelayMs: number; // the last sort, from asking to its order
  readonly uploadMs: number; // the last upload of a part, on the main thread
  readonly gpuBytes: number;
  readonly target: Target;
  readonly precision: ShPrecision;
}

export class SplatRenderer {
  readonly #gl: WebGL2RenderingContext;
  readonly #worker: Worker;
  readonly #options: RendererOptions;
  readonly #events: RendererEvents;
  readonly #passes: Passes;
  readonly #store: Store;
  readonly #table: GroupTable;
  readonly #fades: Fades;
  readonly #slots: Slots;
  readonly #groupIds = new FreeList(0);
  readonly #parts = new Map<number, Part>(); // by the client's key
  readonly #partOfGroup = new Map<number, Part>();
  readonly #active = new Set<number>(); // groups that the worker sorts
  readonly #stages: Stage[] = [];
  readonly #expected: { stage: Stage; part: Part }[] = []; // answers of the worker, in order
  readonly #uploads: { stage: Stage; part: Part; packed: Packed }[] = [];
  readonly #measuring: ((ball: Measured) => void)[] = [];
  #nextId = 0;
  #shown = false; // whether any group has ever been told to show
  #view: View | null = null;
  #projectionStale = true;
  #pictureStale = true;
  #sorting = false;
  #sortWanted = false;
  #serial = 0; // of the last sort that was asked for
  #sorted = 0; // of the order that is there
  #holdFor = 0; // no frame before this order: the camera has jumped
  #spare: Uint32Array | null = null;
  #askedMs = 0;
  #clockMs: number | null = null;
  #sortMs = 0;
  #sortDelayMs = 0;
  #uploadMs = 0;

  constructor(
    gl: WebGL2RenderingContext,
    worker: Worker,
    options: RendererOptions,
    events: RendererEvents,
  ) {
    this.#gl = gl;
    this.#worker = worker;
    this.#options = options;
    this.#events = events;
    const { shDegree, precision, target } = options;
    this.#passes = new Passes(gl, shDegree, precision, target);
    this.#store = new Store(gl, shDegree, precision);
    this.#table = new GroupTable(gl);
    this.#fades = new Fades(
      (group) => this.#table.get(group),
      (group, look) => this.#setLook(group, look),
    );
    const size: number = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    this.#slots = new Slots(Math.floor(size / BLOCK_ROWS));
    worker.onmessage = ({ data }: MessageEvent<Reply>) => this.#receive(data);
    worker.onerror = (event) => {
      this.#events.failed(new ViewerError('worker', `The viewer's worker failed: ${event.message ?? 'it could not be loaded'}`));
    };
    this.#post({ type: 'open', shDegree, precision });
  }

  /** Whether something is still on its way to the screen. */
  get busy(): boolean {
    const waiting = this.#stages.length + this.#expected.length + this.#uploads.length > 0;
    return waiting || this.#fades.active || this.#sorting || this.#sortWanted || this.#stale;
  }

  get stats(): RendererStats {
    return {
      splats: this.#passes.count,
      sortMs: this.#sortMs,
      sortDelayMs: this.#sortDelayMs,
      uploadMs: this.#uploadMs,
      gpuBytes: this.#store.bytes + this.#passes.bytes,
      target: this.#passes.target,
      precision: this.#options.precision,
    };
  }

  /** Takes a transaction; the arrays in it are gone after this. */
  apply(update: SceneUpdate): void {
    const dropped = update.dropped.flatMap((key) => this.#parts.get(key) ?? []);
    for (const key of update.dropped) this.#parts.delete(key);
    const touched = update.added.flatMap((added) => this.#add(added) ?? []);
    const newSh: Part[] = [];
    for (const { key, data } of update.refined) {
      const part = this.#parts.get(key);
      if (!part) continue;
      if (data.shN && !part.hasSh) newSh.push(part);
      touched.push(part);
      this.#post({ type: 'refine', key: part.id, data });
    }
    const states = update.groups.flatMap(({ key, child, visible, amplification }) => {
      const part = this.#parts.get(key);
      if (!part || child >= part.groupCount) return [];
      return { group: part.firstGroup + child, visible, amplification };
    });
    const coming = new Set(states.filter(({ visible }) => visible).map(({ group }) => group));
    const { progress } = update;
    const reorders = update.refined.some(({ data }) => data.means);
    const uploads = touched.length;
    const stage: Stage = { progress, states, dropped, newSh, coming, reorders, uploads, sort: null };
    for (const part of touched) this.#expected.push({ stage, part });
    this.#stages.push(stage);
    this.#proceed();
  }

  /** Looks from somewhere else. After a `jump` the old picture stays until the new order is there. */
  setView(view: View, jump: boolean): void {
    const old = this.#view;
    if (old && same(old, view)) return;
    this.#view = view;
    this.#projectionStale = true;
    if (!old || !same(old, { ...view, K: old.K, width: old.width, height: old.height })) {
      this.#sortWanted = true;
      if (jump) this.#holdFor = this.#serial + 1;
      this.#sort();
    }
    this.#events.needFrame();
  }

  /** Replaces what comes after the splats; see `PicturePass`. */
  setPass(pass: PicturePass | null): void {
    this.#passes.setPass(pass);
    this.redraw();
  }

  /** Draws the next frame even if nothing has changed. */
  redraw(): void {
    this.#pictureStale = true;
    this.#events.needFrame();
  }

  /** Draws a frame where there is something new. */
  frame(nowMs: number): FrameReport {
    this.#uploadSome(nowMs + UPLOAD_MS);
    const elapsed = this.#clockMs === null ? 0 : nowMs - this.#clockMs;
    this.#clockMs = this.#fades.active ? nowMs : null;
    this.#arrive(this.#fades.step(elapsed, this.#options.fadeMs ?? FADE_MS));
    const drew = this.#stale && this.#view !== null && this.#sorted >= this.#holdFor;
    if (drew) this.#draw();
    return { drew, again: this.#fades.active || this.#uploads.length > 0 };
  }

  /** Depth along z at a pixel, or null where nothing is. Waits for the GPU. */
  depthAt(x: number, y: number): number | null {
    if (!this.#view) return null;
    return this.#passes.depthAt(x, y, this.#view.width, this.#view.height);
  }

  /** A ball that holds most of what is shown; radius 0 where nothing is. */
  measure(): Promise<Pick<Measured, 'center' | 'radius'>> {
    this.#post({ type: 'measure' });
    return new Promise((resolve) => this.#measuring.push(resolve));
  }

  /** Uploads all that has come at once: for pages that draw no frames. */
  flush(): void {
    this.#uploadSome(Infinity);
  }

  dispose(): void {
    this.#worker.onmessage = null;
    this.#worker.onerror = null;
    this.#worker.terminate();
    this.#passes.dispose();
    this.#store.dispose();
    this.#table.dispose();
  }

  get #stale(): boolean {
    return this.#projectionStale || this.#pictureStale || this.#table.changed;
  }

  #draw(): void {
    const view = this.#view!;
    const groupsChanged = this.#table.changed;
    const groups = this.#table.upload();
    if (this.#projectionStale || groupsChanged) {
      const { antialiased } = this.#options;
      const used = (block: number): number => this.#slots.rows(block);
      this.#passes.project(this.#store.blocks, used, groups, view, antialiased);
    }
    this.#passes.draw(view.width, view.height);
    [this.#projectionStale, this.#pictureStale] = [false, false];
  }

  // Answers of the worker

  #receive(reply: Reply): void {
    if (this.#gl.isContextLost()) return;
    if (reply.type === 'measured') {
      this.#measuring.shift()?.(reply);
      return;
    }
    if (reply.type === 'sorted') {
      this.#takeOrder(reply);
    } else {
      const next = this.#expected.shift();
      if (next) this.#uploads.push({ ...next, packed: reply });
    }
    this.#events.needFrame();
  }

  #takeOrder({ order, count, serial, ms }: Sorted): void {
    this.#passes.setOrder(order, count);
    this.#spare = order;
    this.#sorting = false;
    this.#sorted = serial;
    this.#sortMs = ms;
    this.#sortDelayMs = performance.now() - this.#askedMs;
    this.#pictureStale = true;
    this.#proceed();
  }

  #uploadSome(untilMs: number): void {
    while (this.#uploads.length > 0) {
      const { stage, part, packed } = this.#uploads.shift()!;
      const began = performance.now();
      if (!part.dead) this.#store.upload(part.spans, packed);
      stage.uploads--;
      this.#projectionStale = true;
      const now = performance.now();
      this.#uploadMs = now - began;
      if (now > untilMs) break;
    }
    this.#proceed();
  }

  /** Gives a new part slots and groups, or tells that there is no room. */
  #add({ key, count, children, data }: PartAdded): Part | null {
    const spans = this.#slots.take(count);
    if (!spans) {
      const message = `No room for ${count} more splats on this GPU.`;
      this.#events.failed(new ViewerError('memory', message));
      return null;
    }
    const [id, groupCount] = [this.#nextId++, children.length];
    const firstGroup = this.#takeGroups(groupCount);
    const hasSh = data.shN !== null;
    const part: Part = { id, spans, firstGroup, groupCount, hasSh, dying: false, dead: false };
    this.#parts.set(key, part);
    for (const group of groupsOf(part)) this.#partOfGroup.set(group, part);
    this.#post({ type: 'add', key: id, spans, groups: firstGroup, children, data });
    return part;
  }

  #post(request: Request): void {
    this.#worker.postMessage(request, buffers(request));
  }

  // Transactions

  /** Lets every transaction go on whose turn it is. */
  #proceed(): void {
    for (const stage of this.#stages) {
      if (stage.uploads > 0) break;
      if (stage.sort === null) this.#order(stage);
    }
    while (this.#stages.length > 0) {
      const { sort } = this.#stages[0]!;
      if (sort === null || sort > this.#sorted) break;
      this.#commit(this.#stages.shift()!);
    }
    this.#sort();
  }

  /** All of a transaction is uploaded: have its groups sorted in. */
  #order(stage: Stage): void {
    const missing = [...stage.coming].filter((group) => !this.#active.has(group));
    this.#setActive(missing, true);
    stage.sort = this.#sorted;
    if (missing.length === 0 && !stage.reorders) return;
    this.#sortWanted = true;
    stage.sort = this.#serial + 1;
  }

  /** All of a transaction is in the order: let it fade in. */
  #commit({ progress, states, dropped, newSh }: Stage): void {
    for (const part of newSh) part.hasSh = true;
    const changes = states.flatMap((state) => this.#changeOf(state) ?? []);
    const told = new Set(states.map(({ group }) => group));
    for (const group of newSh.flatMap(groupsOf)) {
      if (told.has(group)) continue;
      const to = { ...this.#fades.target(group), harmonics: 1 };
      if (to.opacity > 0) changes.push({ group, to });
    }
    for (const part of dropped) {
      part.dying = true;
      const shown = groupsOf(part).filter((group) => this.#table.get(group).opacity > 0);
      if (shown.length === 0) this.#bury(part);
      for (const group of shown) {
        changes.push({ group, to: { ...this.#fades.target(group), opacity: 0 } });
      }
    }
    this.#fades.begin(changes);
    if (!this.#shown) this.#arrive(this.#fades.step(0, 0)); // nothing to fade from
    this.#shown ||= changes.length > 0;
    this.#events.committed(progress);
    this.#events.needFrame();
  }

  /** What becomes of a group, or null where it is hidden and stays so. */
  #changeOf({ group, visible, amplification }: NextState): Change | null {
    const now = this.#table.get(group);
    if (!visible) {
      if (now.opacity === 0 && this.#fades.target(group).opacity === 0) return null;
      return { group, to: { ...now, opacity: 0 } };
    }
    const harmonics = this.#partOfGroup.get(group)?.hasSh ? 1 : 0;
    const to = { opacity: 1, amplification, harmonics };
    // A group that was hidden appears as it is meant to be; it does not grow or change colour.
    if (now.opacity === 0) this.#setLook(group, { ...to, opacity: 0 });
    const was = this.#fades.target(group);
    const same = was.opacity === 1 && was.amplification === amplification && was.harmonics === harmonics;
    return same ? null : { group, to };
  }

  /** Groups that have faded out leave the order; their parts, once dropped, leave for good. */
  #arrive(groups: readonly number[]): void {
    const gone = groups.filter((group) => this.#table.get(group).opacity === 0);
    const coming = (group: number): boolean => this.#stages.some((stage) => stage.coming.has(group));
    this.#setActive(gone.filter((group) => !coming(group)), false);
    for (const group of gone) {
      const part = this.#partOfGroup.get(group);
      if (!part?.dying || part.dead) continue;
      if (groupsOf(part).every((other) => this.#table.get(other).opacity === 0)) this.#bury(part);
    }
  }

  #bury(part: Part): void {
    part.dead = true;
    const groups = groupsOf(part);
    this.#setActive(groups.filter((group) => this.#active.has(group)), false);
    for (const group of groups) {
      this.#fades.forget(group);
      this.#setLook(group, HIDDEN);
      this.#partOfGroup.delete(group);
    }
    this.#post({ type: 'drop', key: part.id });
    this.#slots.give(part.spans);
    this.#groupIds.give(part.firstGroup, part.groupCount);
  }

  #takeGroups(count: number): number {
    let first = this.#groupIds.take(count);
    if (first < 0) {
      this.#groupIds.grow(Math.max(2 * this.#groupIds.size, this.#groupIds.size + count, 1024));
      first = this.#groupIds.take(count);
    }
    for (let group = first; group < first + count; group++) this.#setLook(group, HIDDEN);
    return first;
  }

  #setLook(group: number, { opacity, amplification, harmonics }: Look): void {
    this.#table.set(group, opacity, amplification, harmonics);
  }

  #setActive(groups: readonly number[], active: boolean): void {
    if (groups.length === 0) return;
    for (const group of groups) {
      if (active) this.#active.add(group);
      else this.#active.delete(group);
    }
    this.#post({ type: 'activate', groups: Uint32Array.from(groups), active });
  }

  // Order

  #sort(): void {
    if (this.#sorting || !this.#sortWanted || !this.#view) return;
    this.#sortWanted = false;
    this.#sorting = true;
    this.#askedMs = performance.now();
    const into = this.#spare;
    this.#spare = null;
    this.#post({ type: 'sort', serial: ++this.#serial, plane: planeOf(this.#view), into });
  }
}

/** The depth of a view as the worker computes it. */
function planeOf(view: View): Plane {
  const [x = 0, y = 0, z = 0, offset = 0] = view.viewmat.subarray(8, 12);
  return { x, y, z, offset, eye: eyeOf(view) };
}

function same(a: View, b: View): boolean {
  const equal = (p: Float64Array, q: Float64Array): boolean => p.every((value, i) => value === q[i]);
  const alike = a.width === b.width && a.height === b.height;
  return alike && equal(a.viewmat, b.viewmat) && equal(a.K, b.K);
}

/** The buffers of a request that go with it. */
function buffers(request: Request): ArrayBuffer[] {
  if (request.type === 'sort') return request.into ? [request.into.buffer as ArrayBuffer] : [];
  if (request.type === 'activate') return [request.groups.buffer as ArrayBuffer];
  if (request.type !== 'add' && request.type !== 'refine') return [];
  const arrays = Object.values(request.data) as (Float32Array | null | undefined)[];
  return [...new Set(arrays.flatMap((array) => (array ? [array.buffer as ArrayBuffer] : [])))];
}
