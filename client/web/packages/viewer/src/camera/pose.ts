// Where a camera is and what it looks at. It never rolls: yaw and pitch are measured against a world
// whose `up` the scene gives. From a pose and the size of a picture follows the view that is drawn.

import type { View } from '@exgs/client/update';
import { add, cross, distance, dot, length, scale, subtract, unit, type Vec3 } from './vec.ts';

/** A camera. Orbiting turns about the focus and zooming approaches it; it may be off the centre. */
export interface Pose {
  readonly eye: Vec3;
  readonly yaw: number; // radians, to the right
  readonly pitch: number; // radians, upwards from the horizon
  readonly focus: Vec3;
  readonly fovY: number; // radians
}

/** Directions of the world: up, and two on the horizon, the second to the right of the first. */
export interface World {
  readonly up: Vec3;
  readonly ahead: Vec3;
  readonly right: Vec3;
}

/** Directions of a camera in the world. */
export interface Axes {
  readonly right: Vec3;
  readonly up: Vec3;
  readonly forward: Vec3;
}

export const PITCH_MOST = (89 * Math.PI) / 180;
export const FOV_Y = (50 * Math.PI) / 180;

// What is a jump and no step of a path, which programs make of many calls:
const FAR_TURN = 0.2; // radians
const FAR_STEP = 0.2; // of the way to the focus

const NO_UP: Vec3 = [0, -1, 0]; // the frame is x right, y down, z forward

/** The world with this `up`, which may be 0 0 0 for unknown. */
export function worldOf(up: Vec3): World {
  const u = unit(up, NO_UP);
  const helper: Vec3 = Math.abs(u[2]) < 0.9 ? [0, 0, 1] : [1, 0, 0];
  const ahead = unit(subtract(helper, scale(u, dot(helper, u))));
  return { up: u, ahead, right: cross(ahead, u) };
}

export function axesOf({ yaw, pitch }: Pose, world: World): Axes {
  const level = add(scale(world.ahead, Math.cos(yaw)), scale(world.right, Math.sin(yaw)));
  const right = cross(level, world.up);
  const forward = add(scale(level, Math.cos(pitch)), scale(world.up, Math.sin(pitch)));
  return { right, up: cross(right, forward), forward };
}

/** The pose at `eye` that looks along `forward`, with its focus `away` in front of it. */
export function poseAlong(
  eye: Vec3,
  forward: Vec3,
  away: number,
  fovY: number,
  world: World,
): Pose {
  const f = unit(forward);
  const rise = Math.max(-1, Math.min(1, dot(f, world.up)));
  const pitch = Math.max(-PITCH_MOST, Math.min(PITCH_MOST, Math.asin(rise)));
  const yaw = Math.atan2(dot(f, world.right), dot(f, world.ahead));
  return { eye, yaw, pitch, focus: add(eye, scale(f, away)), fovY };
}

/** The pose at `eye` that looks at `target` and has its focus there. */
export function poseAt(eye: Vec3, target: Vec3, fovY: number, world: World): Pose {
  const along = subtract(target, eye);
  return poseAlong(eye, along, Math.max(1e-6, length(along)), fovY, world);
}

/** Whether a camera that goes there at once sees something else than before. */
export function isFar(from: Pose, to: Pose): boolean {
  const steps = distance(from.eye, to.eye) / Math.max(1e-6, distance(from.eye, from.focus));
  const turned = Math.cos(to.yaw - from.yaw) < Math.cos(FAR_TURN) || Math.abs(to.pitch - from.pitch) > FAR_TURN;
  return steps > FAR_STEP || turned;
}

/** The pose as it is, with its focus as far away as before but in the middle of the picture. */
export function refocused(pose: Pose, world: World, away = distance(pose.eye, pose.focus)): Pose {
  return { ...pose, focus: add(pose.eye, scale(axesOf(pose, world).forward, away)) };
}

/**
 * Pixels of focal length. fovY is the field along the height of a picture that is at least as wide
 * as high. On a higher one it is that of a square of the same area: a middle way between a
 * narrow slice and tiny things.
 */
export function focalLength(fovY: number, width: number, height: number): number {
  const side = Math.min(height, Math.sqrt(width * height));
  return side / 2 / Math.tan(fovY / 2);
}

/** The view of a pose, for the renderer and the client. */
export function viewOf(pose: Pose, world: World, width: number, height: number): View {
  const { right, up, forward } = axesOf(pose, world);
  const down = scale(up, -1);
  const { eye } = pose;
  const row = (axis: Vec3): number[] => [...axis, -dot(axis, eye)];
  const f = focalLength(pose.fovY, width, height);
  return {
    viewmat: Float64Array.of(...row(right), ...row(down), ...row(forward), 0, 0, 0, 1),
    K: Float64Array.of(f, 0, width / 2, 0, f, height / 2, 0, 0, 1),
    width,
    height,
  };
}

/** The point that shows at a pixel at this depth along the middle axis. */
export function pointAt(
  pose: Pose,
  world: World,
  { width, height }: { readonly width: number; readonly height: number },
  [x, y]: readonly [number, number],
  depth: number,
): Vec3 {
  const { right, up, forward } = axesOf(pose, world);
  const f = focalLength(pose.fovY, width, height);
  const across = scale(right, ((x - width / 2) / f) * depth);
  const over = scale(up, ((height / 2 - y) / f) * depth);
  return add(pose.eye, add(scale(forward, depth), add(across, over)));
}

/** A pose as text for links: eye, focus, yaw and pitch and field of view in degrees. */
export function formatPose({ eye, focus, yaw, pitch, fovY }: Pose): string {
  const short = (value: number, digits: number): string => `${Number(value.toPrecision(digits))}`;
  const points = [...eye, ...focus].map((value) => short(value, 6));
  const angles = [yaw, pitch, fovY].map((value) => short((value * 180) / Math.PI, 5));
  return [...points, ...angles].join(',');
}

/**
 * A pose from `formatPose`'s text, or from six numbers, eye and target, and a field of view in degrees
 * behind them if wished; null for anything else.
 */
export function parsePose(text: string, world: World, fovY = FOV_Y): Pose | null {
  const values = text.split(',').map((part) => (part.trim() === '' ? NaN : Number(part)));
  if (!values.every(Number.isFinite)) return null;
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, ...rest] = values;
  const radians = rest.map((value) => (value * Math.PI) / 180);
  const field = radians.length === 1 ? radians[0]! : (radians[2] ?? fovY);
  if (!(field > 0.01 && field < 3)) return null;
  if (values.length === 6 || values.length === 7) {
    return distance([a, b, c], [d, e, f]) > 0 ? poseAt([a, b, c], [d, e, f], field, world) : null;
  }
  if (values.length !== 9) return null;
  const [yaw = 0, pitch = 0] = radians;
  const held = Math.max(-PITCH_MOST, Math.min(PITCH_MOST, pitch));
  return { eye: [a, b, c], focus: [d, e, f], yaw, pitch: held, fovY: field };
}
