// The picture between the splats and the canvas: what the splats are drawn into, and the pass that
// brings it to the canvas, which can be replaced.

import { bind, canDrawHalfFloats, compile, framebuffer, isComplete, texture, type Program } from './context.ts';
import type { PictureKinds } from './kinds.ts';
import { FULL_VERTEX, PRESENT_FRAGMENT } from './shaders.ts';

// Where no floats can be drawn, colours are kept in 10 bits as shares of this: they may go beyond 1.
const FIXED_RANGE = 2;

/** The picture after the splats: premultiplied colours, beyond 1 too. */
export interface SplatPicture {
  /** RGBA16F with the coverage in alpha; where that can't be had RGB10_A2, without coverage. */
  readonly texture: WebGLTexture;
  /** Colours are the texture's values times this. */
  readonly range: number;
  readonly width: number;
  readonly height: number;
}

/** The kinds of splats that a picture consists of, which are drawn on demand. */
export interface KindsSource {
  /** Changes with the splats and their places in the picture. */
  readonly serial: number;
  /** Draws them, for this pass only. Null without proxies, and where half floats can't be drawn into. */
  draw(): PictureKinds | null;
}

/**
 * The pass after the splats, which draws to the canvas: framebuffer null, viewport set, blending off.
 * The one that is built in clamps the colours to 0..1. A painter of missing detail fits here. A pass
 * leaves the tests, masks, culling and pixel storage as it found them; programs, bindings, vertex
 * arrays and the viewport it may change. With a new result later, call `redraw` for another frame.
 */
export interface PicturePass {
  draw(gl: WebGL2RenderingContext, picture: SplatPicture, kinds: KindsSource): void;
  dispose(): void;
}

/** 16-bit floats, or 10 bits where those cannot be drawn. */
export type Target = 'float' | 'fixed';

/** A picture and what is needed to draw into it. */
export class Surface implements SplatPicture {
  readonly texture: WebGLTexture;
  readonly framebuffer: WebGLFramebuffer;
  readonly range: number;
  readonly bytes: number;
  readonly #gl: WebGL2RenderingContext;

  constructor(
    gl: WebGL2RenderingContext,
    target: Target,
    readonly width: number,
    readonly height: number,
  ) {
    this.#gl = gl;
    gl.activeTexture(gl.TEXTURE0);
    const isFloat = target === 'float';
    this.texture = texture(gl, isFloat ? gl.RGBA16F : gl.RGB10_A2, width, height);
    this.framebuffer = framebuffer(gl, [this.texture]);
    this.range = isFloat ? 1 : FIXED_RANGE;
    this.bytes = width * height * (isFloat ? 8 : 4);
  }

  dispose(): void {
    this.#gl.deleteTexture(this.texture);
    this.#gl.deleteFramebuffer(this.framebuffer);
  }
}

/** The pass that is built in: clamps the colours to 0..1. */
export class PresentPass implements PicturePass {
  readonly #gl: WebGL2RenderingContext;
  readonly #program: Program;
  readonly #empty: WebGLVertexArrayObject;

  constructor(gl: WebGL2RenderingContext) {
    this.#gl = gl;
    this.#program = compile(gl, FULL_VERTEX, PRESENT_FRAGMENT);
    this.#empty = gl.createVertexArray();
  }

  draw(gl: WebGL2RenderingContext, { texture: picture, range }: SplatPicture): void {
    gl.useProgram(this.#program.handle);
    gl.uniform1f(this.#program.uniforms.get('range') ?? null, range);
    bind(gl, this.#program, 'picture', 0, gl.TEXTURE_2D, picture);
    gl.bindVertexArray(this.#empty);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  dispose(): void {
    this.#gl.deleteProgram(this.#program.handle);
    this.#gl.deleteVertexArray(this.#empty);
  }
}

/** Whether half floats can be drawn into, in fact and not just by the extensions' word. */
export function canDrawToHalfFloats(gl: WebGL2RenderingContext): boolean {
  if (!canDrawHalfFloats(gl)) return false;
  const pixel = texture(gl, gl.RGBA16F, 1, 1);
  const target = framebuffer(gl, [pixel]);
  const works = isComplete(gl);
  gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  gl.deleteFramebuffer(target);
  gl.deleteTexture(pixel);
  return works;
}
