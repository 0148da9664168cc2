// A scene put together from updates, as a renderer would hold it: for tests, for export, and as
// the plainest reader of the contract in update.ts.

import type { SceneChange } from './builder.ts';
import type { GroupState, PartAdded, SplatData } from '../update.ts';

/** The splats to draw, in one array each. */
export interface DrawnSplats extends SplatData {
  readonly count: number;
  /** 1 for a proxy. */
  readonly isProxy: Uint8Array;
  /** SH coefficients of each splat beyond degree 0. */
  readonly coefficients: number;
}

interface Held {
  readonly part: PartAdded;
  data: SplatData;
  readonly groups: (GroupState | undefined)[];
}

/** Holds the parts and groups of all updates. */
export class ShownScene {
  private readonly parts = new Map<number, Held>();

  /** Applies one transaction; raises an Error where it breaks the contract. */
  apply(change: SceneChange): void {
    for (const part of change.added) {
      if (this.parts.has(part.key)) throw new Error(`part ${part.key} is there already`);
      this.parts.set(part.key, { part, data: part.data, groups: [] });
    }
    for (const { key, data } of change.refined) {
      const held = this.held(key);
      held.data = { ...held.data, ...data };
    }
    for (const state of change.groups) this.held(state.key).groups[state.child] = state;
    for (const key of change.dropped) {
      this.held(key);
      this.parts.delete(key);
    }
  }

  /** Everything that is visible, scales amplified. */
  drawn(): DrawnSplats {
    const runs: { data: SplatData; from: number; to: number; factor: number; isProxy: boolean }[] = [];
    let count = 0;
    let coefficients = 0;
    const parts = [...this.parts.values()].sort((a, b) => order(a.part) - order(b.part));
    for (const { part, data, groups } of parts) {
      let from = 0;
      part.children.forEach((own, child) => {
        const state = groups[child];
        const to = from + own;
        if (state?.visible && own > 0) {
          const isProxy = part.kind === 'proxy';
          runs.push({ data, from, to, factor: state.amplification, isProxy });
          count += own;
          if (data.shN) coefficients = Math.max(coefficients, data.shN.length / (3 * part.count));
        }
        from = to;
      });
    }
    const drawn = {
      count,
      coefficients,
      means: new Float32Array(3 * count),
      quats: new Float32Array(4 * count),
      scales: new Float32Array(3 * count),
      opacities: new Float32Array(count),
      sh0: new Float32Array(3 * count),
      shN: new Float32Array(3 * coefficients * count),
      isProxy: new Uint8Array(count),
    };
    let at = 0;
    for (const { data, from, to, factor, isProxy } of runs) {
      drawn.means.set(data.means.subarray(3 * from, 3 * to), 3 * at);
      drawn.quats.set(data.quats.subarray(4 * from, 4 * to), 4 * at);
      for (let i = 3 * from; i < 3 * to; i++) {
        drawn.scales[i + 3 * (at - from)] = data.scales[i]! * Math.fround(factor);
      }
      drawn.opacities.set(data.opacities.subarray(from, to), at);
      drawn.sh0.set(data.sh0.subarray(3 * from, 3 * to), 3 * at);
      if (data.shN) {
        const size = 3 * coefficients;
        drawn.shN.set(data.shN.subarray(size * from, size * to), size * at);
      }
      if (isProxy) drawn.isProxy.fill(1, at, at + to - from);
      at += to - from;
    }
    return drawn;
  }

  private held(key: number): Held {
    const held = this.parts.get(key);
    if (!held) throw new Error(`part ${key} is not there`);
    return held;
  }
}

/** By layer, then tile, leaves before proxies: the order of the test vectors. */
function order(part: PartAdded): number {
  return (part.layer * 65536 + part.tile) * 2 + (part.kind === 'proxy' ? 1 : 0);
}
