// A WebGL2 context and the few things every pass needs: programs, textures, framebuffers.

import { ViewerError } from '../errors.ts';

/** A linked program and where its uniforms are. */
export interface Program {
  readonly handle: WebGLProgram;
  readonly uniforms: ReadonlyMap<string, WebGLUniformLocation>;
}

/** A context for splats, or an error that names what is missing. */
export function openContext(canvas: HTMLCanvasElement | OffscreenCanvas): WebGL2RenderingContext {
  const gl = canvas.getContext('webgl2', {
    alpha: false,
    antialias: false,
    depth: false,
    stencil: false,
    powerPreference: 'high-performance',
  }) as WebGL2RenderingContext | null;
  if (!gl) throw new ViewerError('webgl', 'This browser or device offers no WebGL 2.');
  return gl;
}

/** Whether a picture of 16 bit floats can be drawn into; the extension is switched on. */
export function canDrawHalfFloats(gl: WebGL2RenderingContext): boolean {
  if (gl.getExtension('EXT_color_buffer_float')) return true;
  return gl.getExtension('EXT_color_buffer_half_float') !== null;
}

export function compile(gl: WebGL2RenderingContext, vertex: string, fragment: string): Program {
  const handle = gl.createProgram();
  for (const [type, source] of [
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ] as const) {
    const shader = gl.createShader(type);
    if (!shader) continue; // the context is lost: what follows does nothing
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(handle, shader);
    gl.deleteShader(shader); // goes with the program
  }
  gl.linkProgram(handle);
  if (!gl.getProgramParameter(handle, gl.LINK_STATUS) && !gl.isContextLost()) {
    const logs = (gl.getAttachedShaders(handle) ?? []).map((shader) => gl.getShaderInfoLog(shader));
    throw new ViewerError('webgl', `A shader was refused: ${logs.join(' ')}`);
  }
  const uniforms = new Map<string, WebGLUniformLocation>();
  const count: number = gl.getProgramParameter(handle, gl.ACTIVE_UNIFORMS) ?? 0;
  for (let i = 0; i < count; i++) {
    const name = gl.getActiveUniform(handle, i)?.name;
    const location = name ? gl.getUniformLocation(handle, name) : null;
    if (name && location) uniforms.set(name, location);
  }
  return { handle, uniforms };
}

/** A texture with one level, read by texelFetch. */
export function texture(
  gl: WebGL2RenderingContext,
  format: number,
  width: number,
  height: number,
): WebGLTexture {
  const handle = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, handle);
  gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
  plain(gl, gl.TEXTURE_2D);
  return handle;
}

/** The same with layers. */
export function layered(
  gl: WebGL2RenderingContext,
  format: number,
  width: number,
  height: number,
  layers: number,
): WebGLTexture {
  const handle = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D_ARRAY, handle);
  gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, format, width, height, layers);
  plain(gl, gl.TEXTURE_2D_ARRAY);
  return handle;
}

function plain(gl: WebGL2RenderingContext, target: number): void {
  gl.texParameteri(target, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(target, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  gl.texParameteri(target, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(target, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
}

/** One layer of a texture that has several. */
export interface TextureLayer {
  readonly of: WebGLTexture;
  readonly number: number;
}

/** A framebuffer that draws into these textures, or layers of textures, at once. */
export function framebuffer(
  gl: WebGL2RenderingContext,
  targets: readonly (WebGLTexture | TextureLayer)[],
): WebGLFramebuffer {
  const handle = gl.createFramebuffer();
  gl.bindFramebuffer(gl.FRAMEBUFFER, handle);
  const attachments = targets.map((_, i) => gl.COLOR_ATTACHMENT0 + i);
  targets.forEach((target, i) => {
    const to = attachments[i]!;
    if ('of' in target) gl.framebufferTextureLayer(gl.FRAMEBUFFER, to, target.of, 0, target.number);
    else gl.framebufferTexture2D(gl.FRAMEBUFFER, to, gl.TEXTURE_2D, target, 0);
  });
  gl.drawBuffers(attachments);
  return handle;
}

/** Layers of a texture from `first` on. */
export function layers(of: WebGLTexture, first: number, count: number): TextureLayer[] {
  return Array.from({ length: count }, (_, i) => ({ of, number: first + i }));
}

/** Whether what is bound can be drawn into. */
export function isComplete(gl: WebGL2RenderingContext): boolean {
  return gl.checkFramebufferStatus(gl.FRAMEBUFFER) === gl.FRAMEBUFFER_COMPLETE;
}

/** Binds a texture to a unit and sets the sampler of the program. */
export function bind(
  gl: WebGL2RenderingContext,
  program: Program,
  name: string,
  unit: number,
  target: number,
  handle: WebGLTexture,
): void {
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(target, handle);
  gl.uniform1i(program.uniforms.get(name) ?? null, unit);
}

const POLL_MS = 4;

/**
 * Reads the pixel that is bound into `values` once the GPU has it, without halting the page; `asked`
 * is called as soon as what is bound is no longer needed. After a loss of the context nothing is read.
 */
export async function readLater(
  gl: WebGL2RenderingContext,
  type: number,
  values: Float32Array | Uint8Array,
  asked: () => void,
): Promise<void> {
  const buffer = gl.createBuffer();
  gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
  gl.bufferData(gl.PIXEL_PACK_BUFFER, values.byteLength, gl.STREAM_READ);
  gl.readPixels(0, 0, 1, 1, gl.RGBA, type, 0);
  gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
  asked();
  const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
  gl.flush();
  while (fence && !gl.isContextLost() && gl.getSyncParameter(fence, gl.SYNC_STATUS) !== gl.SIGNALED) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  gl.deleteSync(fence);
  gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
  gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, 0, values);
  gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
  gl.deleteBuffer(buffer);
}
