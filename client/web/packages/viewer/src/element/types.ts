// The types of the element's methods and events.

import type { Progress, SceneFacts, View } from '@exgs/client/update';
import type { Mode } from '../camera/moves.ts';
import { parsePose, poseAlong, type Pose, type World } from '../camera/pose.ts';
import { distance, type Vec3 } from '../camera/vec.ts';
import type { RendererStats } from '../renderer.ts';

/** Where to look from. */
export interface LookAt {
  readonly eye: Vec3;
  readonly forward: Vec3;
  /** Vertical field of view, radians; as it is where left out. */
  readonly fovY?: number;
}

export interface ViewerStats extends RendererStats {
  /** Time between frames while something moves, ms; 0 at rest. */
  readonly frameMs: number;
  readonly progress: Progress | null;
  readonly width: number;
  readonly height: number;
}

/** Types of `detail` by event; all are CustomEvents and do not bubble. */
export interface ViewerEvents {
  open: SceneFacts;
  progress: Progress;
  firstpicture: null;
  ready: null;
  complete: null;
  error: Error;
  camera: { readonly camera: string; readonly view: View; readonly mode: Mode };
  panel: null;
}

/** The pose of a camera in either form; null for text that is no camera. */
export function poseOf(camera: string | LookAt, world: World, now: Pose): Pose | null {
  if (typeof camera === 'string') return parsePose(camera, world, now.fovY);
  const away = distance(now.eye, now.focus);
  return poseAlong(camera.eye, camera.forward, away, camera.fovY ?? now.fovY, world);
}
