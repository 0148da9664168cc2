// Cross-fades of groups: everything that changes in one transaction moves together, linearly, so that
// the opacity factors of old and new add up to 1. Time is an argument.

/** What a group shows: opacity factor, scale factor, share of the harmonics. */
export interface Look {
  readonly opacity: number;
  readonly amplification: number;
  readonly harmonics: number;
}

/** A group and its target. */
export interface Change {
  readonly group: number;
  readonly to: Look;
}

export const FADE_MS = 300;

/** The most by which a fade moves from one frame to the next, as long as frames are not very slow. */
export const STEP_MOST = 0.2;

/** The longest fade on a GPU that draws few frames: what fades out takes memory until then. */
export const LONGEST_MS = 2500;

/** How far a fade at `share` (0 to 1) gets in `elapsedMs`. */
export function advance(share: number, elapsedMs: number, fadeMs: number): number {
  const elapsed = Math.max(0, elapsedMs);
  const most = Math.max(STEP_MOST, elapsed / LONGEST_MS);
  const step = fadeMs > 0 ? Math.min(most, elapsed / fadeMs) : 1;
  return Math.min(1, share + step);
}

/** The look at `share` of the way. */
export function between(from: Look, to: Look, share: number): Look {
  const mix = (a: number, b: number): number => (share >= 1 ? b : a + (b - a) * share);
  return {
    opacity: mix(from.opacity, to.opacity),
    amplification: mix(from.amplification, to.amplification),
    harmonics: mix(from.harmonics, to.harmonics),
  };
}

interface Fade {
  share: number;
  readonly moves: Map<number, { from: Look; to: Look }>;
}

/** All fades under way. A group that gets a new target leaves its old fade. */
export class Fades {
  readonly #fades: Fade[] = [];
  readonly #owner = new Map<number, Fade>();
  readonly #read: (group: number) => Look;
  readonly #write: (group: number, look: Look) => void;

  constructor(read: (group: number) => Look, write: (group: number, look: Look) => void) {
    this.#read = read;
    this.#write = write;
  }

  get active(): boolean {
    return this.#fades.length > 0;
  }

  /** The target of a group. */
  target(group: number): Look {
    return this.#owner.get(group)?.moves.get(group)?.to ?? this.#read(group);
  }

  /** Lets all `changes` begin now and end together. */
  begin(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    const fade: Fade = { share: 0, moves: new Map() };
    for (const { group, to } of changes) {
      this.forget(group);
      fade.moves.set(group, { from: this.#read(group), to });
      this.#owner.set(group, fade);
    }
    this.#fades.push(fade);
  }

  /** Leaves a group as it is. */
  forget(group: number): void {
    this.#owner.get(group)?.moves.delete(group);
    this.#owner.delete(group);
  }

  /** Moves on by `elapsedMs`; returns the groups that have arrived. */
  step(elapsedMs: number, fadeMs: number): number[] {
    const arrived: number[] = [];
    for (const fade of this.#fades) {
      fade.share = advance(fade.share, elapsedMs, fadeMs);
      for (const [group, { from, to }] of fade.moves) {
        this.#write(group, between(from, to, fade.share));
        if (fade.share >= 1) {
          arrived.push(group);
          this.#owner.delete(group);
        }
      }
    }
    const left = this.#fades.filter((fade) => fade.share < 1 && fade.moves.size > 0);
    this.#fades.splice(0, this.#fades.length, ...left);
    return arrived;
  }
}
