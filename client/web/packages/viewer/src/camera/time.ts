// Movement in time: flights from pose to pose, coasting after a drag, and held keys.
// Time is always an argument.

import type { Pose } from './pose.ts';
import { distance, mix } from './vec.ts';

export const FLIGHT_MS = 700;
export const COAST_MS = 120; // until a drag's speed has fallen to 1/e

/** The pose at `share` (0 to 1) of a flight, slow at both ends, turning the short way round. */
export function flight(from: Pose, to: Pose, share: number): Pose {
  if (share >= 1) return to;
  const s = Math.max(0, share);
  const eased = s * s * (3 - 2 * s);
  const number = (a: number, b: number): number => a + (b - a) * eased;
  return {
    eye: mix(from.eye, to.eye, eased),
    focus: mix(from.focus, to.focus, eased),
    yaw: from.yaw + shortest(to.yaw - from.yaw) * eased,
    pitch: number(from.pitch, to.pitch),
    fovY: number(from.fovY, to.fovY),
  };
}

/** An angle as one in (-pi, pi]. */
export function shortest(angle: number): number {
  const turns = Math.round(angle / (2 * Math.PI));
  return angle - turns * 2 * Math.PI;
}

/** What a speed (per ms) that decays moves in `elapsedMs`, and what is left of it. */
export function coast(speed: number, elapsedMs: number): { moved: number; left: number } {
  const kept = Math.exp(-Math.max(0, elapsedMs) / COAST_MS);
  return { moved: speed * COAST_MS * (1 - kept), left: speed * kept };
}

/** Whether two poses show the same. */
export function samePose(a: Pose, b: Pose): boolean {
  const still = a.yaw === b.yaw && a.pitch === b.pitch && a.fovY === b.fovY;
  return still && distance(a.eye, b.eye) === 0 && distance(a.focus, b.focus) === 0;
}

/** Which way the keys that are held lead: -1 to 1 along right, up and forward, and turning. */
export interface Drive {
  readonly move: readonly [number, number, number];
  readonly turn: readonly [number, number]; // yaw, pitch
  readonly pace: number; // 1, faster with Shift, slower with Ctrl
}

const FASTER = 3;
const SLOWER = 0.25;

const MOVES: Readonly<Record<string, readonly [number, number, number]>> = {
  KeyW: [0, 0, 1],
  KeyS: [0, 0, -1],
  KeyA: [-1, 0, 0],
  KeyD: [1, 0, 0],
  KeyQ: [0, -1, 0],
  KeyE: [0, 1, 0],
};

const TURNS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

/** Whether holding this key (a KeyboardEvent.code) moves the camera. */
export function drives(code: string): boolean {
  return code in MOVES || code in TURNS;
}

/** What the keys in `held` ask for; null where they ask for nothing. */
export function driveOf(held: ReadonlySet<string>, shift: boolean, ctrl: boolean): Drive | null {
  const move: [number, number, number] = [0, 0, 0];
  const turn: [number, number] = [0, 0];
  for (const code of held) {
    MOVES[code]?.forEach((value, axis) => (move[axis]! += value));
    TURNS[code]?.forEach((value, axis) => (turn[axis]! += value));
  }
  if ([...move, ...turn].every((value) => value === 0)) return null;
  return { move, turn, pace: (shift ? FASTER : 1) * (ctrl ? SLOWER : 1) };
}
