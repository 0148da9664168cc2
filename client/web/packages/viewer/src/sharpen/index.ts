// @exgs/viewer/sharpen: a pass for `setPass` that sharpens pictures at rest.

export { SharpenPass } from './pass.ts';
