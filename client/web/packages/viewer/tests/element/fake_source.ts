// A source that plays a dumped scene: coarse proxies first, then leaves that replace them part by part.

import type { GroupState, PartAdded, SceneFacts, SceneUpdate, View } from '@exgs/client/update';
import type { Budget, SceneSource } from '../../src/index.ts';
import { cut, partOf, type Dumped } from '../scenes.ts';

const PROXY_STEP = 12;
const PROXY_SCALE = 2.2;

export class FakeSource extends EventTarget implements SceneSource {
  readonly looks: View[] = [];
  readonly budgets: Budget[] = [];
  disposed = false;
  readonly #scene: Dumped;
  readonly #parts: number;

  constructor(scene: Dumped, parts: number) {
    super();
    this.#scene = scene;
    this.#parts = parts;
  }

  look(view: View): void {
    this.looks.push(view);
  }

  setBudget(budget: Budget): void {
    this.budgets.push(budget);
  }

  dispose(): void {
    this.disposed = true;
  }

  open(): void {
    this.#tell('open', factsOf(this.#scene));
  }

  /** A poster of one colour. */
  async poster(): Promise<void> {
    const canvas = new OffscreenCanvas(64, 36);
    const context = canvas.getContext('2d')!;
    context.fillStyle = '#405060';
    context.fillRect(0, 0, 64, 36);
    const blob = await canvas.convertToBlob({ type: 'image/jpeg' });
    const bytes = new Uint8Array(await blob.arrayBuffer());
    this.#tell('poster', { type: 'image/jpeg', bytes });
  }

  /** Proxies of every part. */
  proxies(): void {
    const added = this.#each((part, first, end) => {
      const data = cut(this.#scene.columns, first, end, PROXY_STEP);
      data.scales.forEach((value, i) => (data.scales[i] = value * PROXY_SCALE));
      return partOf(2 * part, 'proxy', { ...data, shN: null });
    });
    const groups = added.flatMap(({ key }) => states(key, true));
    this.#update({ added, groups });
  }

  /** Leaves of part `number`; its proxies are hidden, or dropped. */
  leaves(number: number, drop: boolean): void {
    const added = this.#each((part, first, end) =>
      part === number ? partOf(2 * part + 1, 'leaf', cut(this.#scene.columns, first, end)) : null,
    ).filter((part) => part !== null) as PartAdded[];
    const groups = states(2 * number + 1, true);
    const last = number === this.#parts - 1;
    if (drop) this.#update({ added, groups, dropped: [2 * number] }, last);
    else this.#update({ added, groups: [...groups, ...states(2 * number, false)] }, last);
  }

  #each<T>(make: (part: number, first: number, end: number) => T): T[] {
    const { count } = this.#scene.columns;
    const size = Math.ceil(count / this.#parts);
    return Array.from({ length: this.#parts }, (_, part) =>
      make(part, part * size, Math.min(count, (part + 1) * size)),
    );
  }

  #update(some: Partial<SceneUpdate>, complete = false): void {
    const progress = {
      receivedBytes: complete ? 100 : 50,
      fileBytes: 100,
      layer: 0,
      splats: 1,
      complete,
      readyForView: complete,
    };
    this.#tell('update', { added: [], refined: [], dropped: [], groups: [], progress, ...some });
  }

  #tell(type: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function states(key: number, visible: boolean): GroupState[] {
  return [0, 1, 2].map((child) => ({ key, child, visible, amplification: 1 }));
}

function factsOf({ columns, antialiased, views }: Dumped): SceneFacts {
  const V = views[1]!.viewmat;
  const along = (j: number): number => -(V[j]! * V[3]! + V[4 + j]! * V[7]! + V[8 + j]! * V[11]!);
  const low: [number, number, number] = [Infinity, Infinity, Infinity];
  const high: [number, number, number] = [-Infinity, -Infinity, -Infinity];
  columns.means.forEach((value, i) => {
    low[i % 3] = Math.min(low[i % 3]!, value);
    high[i % 3] = Math.max(high[i % 3]!, value);
  });
  return {
    name: 'Test scene',
    credit: 'Made up',
    license: 'CC0-1.0',
    encoder: '',
    count: columns.count,
    shDegree: Math.sqrt(columns.k + 1) - 1,
    antialiased,
    up: [-V[4]!, -V[5]!, -V[6]!],
    origin: [0, 0, 0],
    crs: null,
    home: {
      eye: [along(0), along(1), along(2)],
      forward: [V[8]!, V[9]!, V[10]!],
      fovY: 2 * Math.atan2(views[1]!.height / 2, views[1]!.K[4]!),
    },
    layers: [],
    quality: [],
    fileBytes: 100,
    hash: '0'.repeat(32),
    box: { low, high },
  };
}
