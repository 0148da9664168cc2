// Where to look first, and what a device can carry.

import type { SceneFacts } from '@exgs/client/update';
import { FOV_Y, poseAlong, poseAt, type Pose, type World } from '../camera/pose.ts';
import { add, distance, length, mix, scale, type Vec3 } from '../camera/vec.ts';
import type { Budget } from '../source.ts';
import type { ShPrecision } from '../splats/layout.ts';

const PHONE_SPLATS = 1_000_000;
const DESKTOP_SPLATS = 4_000_000;
const BYTES_PER_SPLAT = 256; // on the GPU, with harmonics of degree 3 as half floats and room to spare
const HALF_FLOAT_SPLATS = 2_000_000; // more than these get harmonics of 8 bits

const FOCUS_SHARE = 0.35; // of the scene's radius: how far in front of a home view things are, at a guess

/** The pose that a scene begins with: its home, or a look at all of it from in front. */
export function startOf({ home, box }: SceneFacts, world: World): Pose {
  const radius = Math.max(1e-3, distance(box.low, box.high) / 2);
  const center = mix(box.low, box.high, 0.5);
  if (!home) return poseAt(overview(center, radius, world), center, FOV_Y, world);
  return poseAlong(home.eye, home.forward, FOCUS_SHARE * radius, home.fovY, world);
}

/** A place from which a ball is seen whole, from a little above. */
export function overview(center: Vec3, radius: number, world: World): Vec3 {
  const back = add(scale(world.ahead, -1), scale(world.up, 0.35));
  const away = radius / Math.sin(FOV_Y / 2);
  return add(center, scale(back, away / length(back)));
}

/** Whether this is a phone or a small tablet. */
export function isPhone(): boolean {
  const data = (navigator as { userAgentData?: { mobile?: boolean } }).userAgentData;
  if (data?.mobile) return true;
  const small = Math.min(screen.width, screen.height) < 820;
  return small && matchMedia('(pointer: coarse)').matches;
}

/** The budget of a device, or one of so many splats. */
export function budgetOf(splats: number | null, phone: boolean): Budget {
  const count = splats ?? (phone ? PHONE_SPLATS : DESKTOP_SPLATS);
  return { splats: count, bytes: count * BYTES_PER_SPLAT };
}

/** How fine harmonics are kept: 8 bits where memory is short. */
export function precisionFor(count: number, budget: Budget, phone: boolean): ShPrecision {
  return phone || Math.min(count, budget.splats) > HALF_FLOAT_SPLATS ? 'byte' : 'half';
}
