// How a camera moves: each function takes a pose and gives another. No time, no events.

import { axesOf, PITCH_MOST, poseAt, refocused, type Pose, type World } from './pose.ts';
import { add, distance, length, scale, subtract, turned, unit, type Vec3 } from './vec.ts';

/** What dragging and the keys do. */
export type Mode = 'orbit' | 'fly' | 'walk';

const NEAREST = 0.02; // to the focus, world units: twice the near plane

/** Turns about the focus, which stays in its place in the picture. */
export function orbit(pose: Pose, world: World, yaw: number, pitch: number): Pose {
  const held = limited(pose.pitch + pitch);
  const { right } = axesOf(pose, world);
  // Yaw turns to the right, clockwise from above; pitch about the camera's own right.
  const tilt = held - pose.pitch;
  const arm = turned(turned(subtract(pose.eye, pose.focus), right, tilt), world.up, -yaw);
  return { ...pose, eye: add(pose.focus, arm), yaw: pose.yaw + yaw, pitch: held };
}

/** Looks elsewhere from the same place. */
export function turn(pose: Pose, world: World, yaw: number, pitch: number): Pose {
  return refocused({ ...pose, yaw: pose.yaw + yaw, pitch: limited(pose.pitch + pitch) }, world);
}

/** Moves by world units along the camera's right, up and forward; the focus moves with it. */
export function fly(pose: Pose, world: World, [x, y, z]: Vec3): Pose {
  const { right, up, forward } = axesOf(pose, world);
  return moved(pose, add(scale(right, x), add(scale(up, y), scale(forward, z))));
}

/** The same on level ground: forward along the horizon, up against gravity. */
export function walk(pose: Pose, world: World, [x, y, z]: Vec3): Pose {
  const { right } = axesOf(pose, world);
  const level = axesOf({ ...pose, pitch: 0 }, world).forward;
  return moved(pose, add(scale(right, x), add(scale(world.up, y), scale(level, z))));
}

/** Goes towards the focus, or away from it, until the distance has grown by `factor`. */
export function zoom(pose: Pose, factor: number): Pose {
  const arm = subtract(pose.eye, pose.focus);
  const away = length(arm);
  const wanted = Math.max(NEAREST, away * factor);
  return { ...pose, eye: add(pose.focus, scale(unit(arm), wanted)) };
}

/** Looks at a ball of `radius` round `center` from the same side, so that it fills the picture. */
export function frame(pose: Pose, world: World, center: Vec3, radius: number): Pose {
  const { forward } = axesOf(pose, world);
  const away = Math.max(NEAREST, radius / Math.sin(pose.fovY / 2));
  return { ...pose, eye: subtract(center, scale(forward, away)), focus: center };
}

/** Where a double click on `point` leads: looking at it, from a third of the way that there was. */
export function approach(pose: Pose, world: World, point: Vec3): Pose {
  const arm = subtract(pose.eye, point);
  const eye = add(point, scale(arm, Math.max(NEAREST / Math.max(length(arm), NEAREST), 1 / 3)));
  return distance(point, eye) > 0 ? poseAt(eye, point, pose.fovY, world) : pose;
}

function moved(pose: Pose, by: Vec3): Pose {
  return { ...pose, eye: add(pose.eye, by), focus: add(pose.focus, by) };
}

function limited(pitch: number): number {
  return Math.max(-PITCH_MOST, Math.min(PITCH_MOST, pitch));
}
