// What can go wrong in the viewer itself; errors of a scene come from @exgs/client.

/**
 * `webgl`: no WebGL 2, or it fails; `worker`: its script does not run; `memory`: the textures are full;
 * `argument`: a bad value.
 */
export type ViewerErrorCode = 'webgl' | 'worker' | 'memory' | 'argument';

export class ViewerError extends Error {
  readonly code: ViewerErrorCode;

  constructor(code: ViewerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ViewerError';
    this.code = code;
  }
}
