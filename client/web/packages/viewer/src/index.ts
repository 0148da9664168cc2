// @exgs/viewer: the element, the renderer under it, and the types that both need. Importing it defines
// nothing; `@exgs/viewer/define` registers <exgs-viewer> and connects it with @exgs/client.

export { ViewerError, type ViewerErrorCode } from './errors.ts';
export { ExgsViewer, setOpener } from './element/viewer.ts';
export type { LookAt, ViewerEvents, ViewerStats } from './element/types.ts';
export type { OpenOptions } from '@exgs/client';
export type { Budget, Opener, SceneSource, SourceEvents } from './source.ts';
export { SplatRenderer } from './renderer.ts';
export type { FrameReport, RendererEvents, RendererOptions, RendererStats } from './renderer.ts';
export type { PicturePass, SplatPicture, Target } from './gl/picture.ts';
export { openContext } from './gl/context.ts';
export { createWorker, setWorkerFactory } from './sort/create.ts';
export type { Mode } from './camera/moves.ts';
export { formatPose, parsePose, viewOf, worldOf, type Pose, type World } from './camera/pose.ts';
