// @exgs/client: everything a page needs to receive a scene.

export {
  DEFAULT_BUDGET,
  Scene,
  SceneError,
  openScene,
  type OpenOptions,
  type SceneEvents,
  type SceneSource,
} from './open.ts';
export type { Budget } from './flow/residency.ts';
export type { ReadRange } from './net/local.ts';
export type * from './update.ts';
export { FRONT_BYTES } from './flow/ranges.ts';
