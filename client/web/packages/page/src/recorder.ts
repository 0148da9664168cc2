// Records the camera, and gives the path as a cameras.json that exgs and trainers read.

import type { View, Vec3 } from '@exgs/client/update';
import type { ExgsViewer } from '@exgs/viewer';
import { download } from './download.ts';
import { toast } from './toast.ts';

const PER_S = 30;

/** One camera of a cameras.json, as INRIA's trainer writes it. */
export interface CameraEntry {
  readonly id: number;
  readonly img_name: string;
  readonly width: number;
  readonly height: number;
  readonly position: readonly number[];
  readonly rotation: readonly (readonly number[])[];
  readonly fx: number;
  readonly fy: number;
  readonly cx: number;
  readonly cy: number;
}

export class Recorder {
  readonly #viewer: ExgsViewer;
  #views: View[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(viewer: ExgsViewer) {
    this.#viewer = viewer;
  }

  /** Starts, or stops and downloads; returns whether it records now. */
  toggle(): boolean {
    if (this.#timer === undefined) {
      this.#views = [];
      this.#timer = setInterval(() => this.#take(), 1000 / PER_S);
      this.#take();
      return true;
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
    const origin = this.#viewer.facts?.origin ?? [0, 0, 0];
    const entries = this.#views.map((view, number) => entryOf(view, number, origin));
    download('cameras.json', new Blob([JSON.stringify(entries)], { type: 'application/json' }));
    toast(`${entries.length} cameras, ${PER_S} a second: cameras.json.`);
    return false;
  }

  #take(): void {
    const { view } = this.#viewer;
    if (view) this.#views.push(view);
  }
}

/** A view as an entry; `origin` takes it back into the frame of the scene's source. */
export function entryOf(view: View, number: number, origin: Vec3): CameraEntry {
  const { viewmat: m, K, width, height } = view;
  const at = (row: number, column: number): number => m[4 * row + column]!;
  const axes = [0, 1, 2] as const;
  const position = axes.map(
    (i) => origin[i] - axes.reduce<number>((sum, k) => sum + at(k, i) * at(k, 3), 0),
  );
  return {
    id: number,
    img_name: `${number}`.padStart(5, '0'),
    width,
    height,
    position,
    rotation: axes.map((i) => axes.map((k) => at(k, i))), // camera to world
    fx: K[0]!,
    fy: K[4]!,
    cx: K[2]!,
    cy: K[5]!,
  };
}
