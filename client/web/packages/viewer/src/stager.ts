// Brings transactions to the screen in order. Each waits until its splats are uploaded and in the order,
// then all of its groups change together. Dropped parts fade out and give their slots back.

import type { PartAdded, Progress, SceneUpdate } from '@exgs/client/update';
import { ViewerError } from './errors.ts';
import { Fades, type Change, type Look } from './fades.ts';
import type { Packed, Request } from './sort/messages.ts';
import { FreeList } from './splats/free_list.ts';
import { BLOCK_SLOTS, type Span } from './splats/layout.ts';
import { Slots } from './splats/slots.ts';
import { groupsOf, type NextState, type Part, type Stage } from './stage.ts';

const HIDDEN: Look = { opacity: 0, amplification: 1, harmonics: 0 };
const FIRST_GROUPS = 1024;
const LEAST_BEHIND = BLOCK_SLOTS; // splats: fewer may always leave at their own pace

/** What a stager needs of the renderer. */
export interface Ports {
  readonly post: (request: Request) => void;
  readonly upload: (spans: readonly Span[], packed: Packed) => void;
  readonly readLook: (group: number) => Look;
  readonly writeLook: (group: number, look: Look) => void;
  readonly writeKind: (group: number, isProxy: boolean) => void;
  /** Wants a new order; returns its serial. */
  readonly wantOrder: () => number;
  /** Serial of the current order. */
  readonly sorted: () => number;
  readonly committed: (progress: Progress) => void;
  readonly failed: (error: ViewerError) => void;
}

export class Stager {
  readonly #ports: Ports;
  readonly #fades: Fades;
  readonly #slots: Slots;
  readonly #groupIds = new FreeList(0);
  readonly #parts = new Map<number, Part>(); // by the client's key
  readonly #partOfGroup = new Map<number, Part>();
  readonly #active = new Set<number>(); // groups that the worker sorts
  readonly #stages: Stage[] = [];
  readonly #expected: { stage: Stage; part: Part }[] = []; // answers of the worker, in order
  readonly #uploads: { stage: Stage; part: Part; packed: Packed }[] = [];
  #nextId = 0;
  #shown = false; // whether any group has ever been shown
  #staying = 0; // splats of parts that the client holds
  #leaving = 0; // splats of parts that it has dropped, which have slots until they have faded out

  constructor(ports: Ports, mostBlocks: number) {
    this.#ports = ports;
    this.#fades = new Fades(ports.readLook, ports.writeLook);
    this.#slots = new Slots(mostBlocks);
  }

  /** Whether a transaction is not wholly on the screen. */
  get busy(): boolean {
    return this.#stages.length + this.#uploads.length > 0 || this.#fades.active;
  }

  get fading(): boolean {
    return this.#fades.active;
  }

  get uploading(): boolean {
    return this.#uploads.length > 0;
  }

  /**
   * Whether more splats are leaving than staying. Then fades end at once and the client should hold
   * updates back, so that the memory is bounded by the client's budget: it is twice that at most, and
   * what the next update drops.
   */
  get isBehind(): boolean {
    return this.#leaving > Math.max(LEAST_BEHIND, this.#staying);
  }

  /** Rows of a block in which splats may be. */
  rows(block: number): number {
    return this.#slots.rows(block);
  }

  /** Takes a transaction; the arrays in it are gone after this. */
  apply(update: SceneUpdate): void {
    const dropped = update.dropped.flatMap((key) => this.#parts.get(key) ?? []);
    for (const key of update.dropped) this.#parts.delete(key);
    for (const { count } of dropped) {
      this.#staying -= count;
      this.#leaving += count;
    }
    const touched = update.added.flatMap((added) => this.#add(added) ?? []);
    const newSh: Part[] = [];
    for (const { key, data } of update.refined) {
      const part = this.#parts.get(key);
      if (!part) continue;
      if (data.shN && !part.hasSh) newSh.push(part);
      touched.push(part);
      this.#ports.post({ type: 'refine', key: part.id, data });
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
    const stage: Stage = { progress, states, dropped, newSh, coming, reorders, uploads, order: null };
    for (const part of touched) this.#expected.push({ stage, part });
    this.#stages.push(stage);
    this.proceed();
  }

  /** The next part has been packed. */
  packed(packed: Packed): void {
    const next = this.#expected.shift();
    if (next) this.#uploads.push({ ...next, packed });
  }

  /** Uploads the next part that waits for it; whether there was one. */
  uploadNext(): boolean {
    const next = this.#uploads.shift();
    if (!next) return false;
    const { stage, part, packed } = next;
    if (!part.dead) this.#ports.upload(part.spans, packed);
    stage.uploads--;
    return true;
  }

  /** Advances every transaction that can go on. */
  proceed(): void {
    for (const stage of this.#stages) {
      if (stage.uploads > 0) break;
      if (stage.order === null) this.#sortIn(stage);
    }
    while (this.#stages.length > 0) {
      const { order } = this.#stages[0]!;
      if (order === null || order > this.#ports.sorted()) break;
      this.#commit(this.#stages.shift()!);
    }
  }

  /** Moves all fades on. */
  step(elapsedMs: number, fadeMs: number): void {
    this.#arrive(this.#fades.step(this.isBehind ? Infinity : elapsedMs, fadeMs));
  }

  /** Gives a new part slots and groups, or reports that there is no room. */
  #add({ key, kind, count, children, data }: PartAdded): Part | null {
    const spans = this.#slots.take(count);
    if (!spans) {
      const message = `No room for ${count} more splats on this GPU.`;
      this.#ports.failed(new ViewerError('memory', message));
      return null;
    }
    const [id, groupCount] = [this.#nextId++, children.length];
    const firstGroup = this.#takeGroups(groupCount);
    const hasSh = data.shN !== null;
    const part: Part = { id, count, spans, firstGroup, groupCount, hasSh, dying: false, dead: false };
    this.#parts.set(key, part);
    this.#staying += count;
    for (const group of groupsOf(part)) {
      this.#partOfGroup.set(group, part);
      this.#ports.writeKind(group, kind === 'proxy');
    }
    this.#ports.post({ type: 'add', key: id, spans, groups: firstGroup, children, data });
    return part;
  }

  /** All of a transaction is uploaded: have its groups sorted in. */
  #sortIn(stage: Stage): void {
    const missing = [...stage.coming].filter((group) => !this.#active.has(group));
    this.#setActive(missing, true);
    const isNew = missing.length > 0 || stage.reorders;
    stage.order = isNew ? this.#ports.wantOrder() : this.#ports.sorted();
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
      const isShown = groupsOf(part).some((group) => !this.#isHidden(group));
      if (!isShown) this.#bury(part);
      for (const group of isShown ? groupsOf(part) : []) {
        const to = this.#fades.target(group); // above 0 where it fades in, though nothing may show yet
        if (to.opacity > 0 || !this.#isHidden(group)) changes.push({ group, to: { ...to, opacity: 0 } });
      }
    }
    this.#fades.begin(changes);
    if (!this.#shown) this.step(0, 0); // nothing to fade from
    this.#shown ||= changes.length > 0;
    this.#ports.committed(progress);
  }

  /** The change of a group, or null where it is hidden and stays hidden. */
  #changeOf({ group, visible, amplification }: NextState): Change | null {
    const now = this.#ports.readLook(group);
    const bound = this.#fades.target(group);
    if (!visible) {
      if (now.opacity === 0 && bound.opacity === 0) return null;
      return { group, to: { ...now, opacity: 0 } };
    }
    const harmonics = this.#partOfGroup.get(group)?.hasSh ? 1 : 0;
    const to = { opacity: 1, amplification, harmonics };
    // A group that was hidden appears as it is meant to be; it does not grow or change colour.
    if (now.opacity === 0) this.#ports.writeLook(group, { ...to, opacity: 0 });
    const isBound =
      bound.opacity === 1 && bound.amplification === amplification && bound.harmonics === harmonics;
    return isBound ? null : { group, to };
  }

  /** Groups that have faded out leave the order; their parts, once dropped, leave for good. */
  #arrive(groups: readonly number[]): void {
    const gone = groups.filter((group) => this.#isHidden(group));
    const comes = (group: number): boolean => this.#stages.some(({ coming }) => coming.has(group));
    this.#setActive(gone.filter((group) => !comes(group)), false);
    for (const group of gone) {
      const part = this.#partOfGroup.get(group);
      if (!part?.dying || part.dead) continue;
      if (groupsOf(part).every((other) => this.#isHidden(other))) this.#bury(part);
    }
  }

  #isHidden(group: number): boolean {
    return this.#ports.readLook(group).opacity === 0;
  }

  #bury(part: Part): void {
    part.dead = true;
    this.#leaving -= part.count;
    const groups = groupsOf(part);
    this.#setActive(groups.filter((group) => this.#active.has(group)), false);
    for (const group of groups) {
      this.#fades.forget(group);
      this.#ports.writeLook(group, HIDDEN);
      this.#partOfGroup.delete(group);
    }
    this.#ports.post({ type: 'drop', key: part.id });
    this.#slots.give(part.spans);
    this.#groupIds.give(part.firstGroup, part.groupCount);
  }

  #takeGroups(count: number): number {
    const ids = this.#groupIds;
    let first = ids.take(count);
    if (first < 0) {
      ids.grow(Math.max(2 * ids.size, ids.size + count, FIRST_GROUPS));
      first = ids.take(count);
    }
    for (let group = first; group < first + count; group++) this.#ports.writeLook(group, HIDDEN);
    return first;
  }

  #setActive(groups: readonly number[], active: boolean): void {
    if (groups.length === 0) return;
    for (const group of groups) {
      if (active) this.#active.add(group);
      else this.#active.delete(group);
    }
    this.#ports.post({ type: 'activate', groups: Uint32Array.from(groups), active });
  }
}
