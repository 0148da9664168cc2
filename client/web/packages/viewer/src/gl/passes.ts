// One frame on the GPU: project every slot, draw the quads in order into a picture of floats, and hand
// the picture to the last pass (picture.ts).

import { BLOCK_ROWS, ROW_SLOTS, type ShPrecision } from '../splats/layout.ts';
import type { View } from '@exgs/client/update';
import { bind, compile, framebuffer, readLater, texture, type Program } from './context.ts';
import { canDrawToHalfFloats, PresentPass, Surface, type PicturePass, type Target } from './picture.ts';
import {
  DEPTH_LOG2_LEAST,
  DEPTH_LOG2_SPAN,
  FULL_VERTEX,
  SPLAT_FRAGMENT,
  projectFragment,
  splatVertex,
} from './shaders.ts';
import { KindsPass, type Drawn, type PictureKinds } from './kinds.ts';
import { rows, type Block } from './store.ts';

const QUADS = 128; // to an instance: one quad each is slow on many drivers
const COVERED = 0.1; // least coverage of a pixel that has a depth

export class Passes {
  readonly target: Target;
  readonly #hasSh: boolean;
  readonly #gl: WebGL2RenderingContext;
  readonly #project: readonly [bare: Program, full: Program];
  readonly #splat: Program;
  readonly #present: PresentPass;
  #pick: Program | null = null;
  #pass: PicturePass | null = null;
  readonly #quads: WebGLVertexArrayObject;
  readonly #empty: WebGLVertexArrayObject;
  readonly #indices: WebGLBuffer;
  #projected: { rows: number; textures: WebGLTexture[]; framebuffer: WebGLFramebuffer } | null = null;
  #surface: Surface | null = null;
  #kinds: KindsPass | null = null;
  #drawn: Omit<Drawn, 'projected' | 'order'> | null = null; // what was projected last
  #serial = 0;
  #orders: { rows: number; textures: WebGLTexture[] } = { rows: 0, textures: [] };
  #count = 0;

  constructor(
    gl: WebGL2RenderingContext,
    shDegree: number,
    precision: ShPrecision,
    target: Target = 'float',
  ) {
    this.#gl = gl;
    this.#hasSh = shDegree > 0;
    this.target = target === 'float' && canDrawToHalfFloats(gl) ? 'float' : 'fixed';
    const bare = compile(gl, FULL_VERTEX, projectFragment(0, precision));
    const full = shDegree > 0 ? compile(gl, FULL_VERTEX, projectFragment(shDegree, precision)) : bare;
    this.#project = [bare, full];
    this.#splat = compile(gl, splatVertex(QUADS, false), SPLAT_FRAGMENT);
    this.#present = new PresentPass(gl);
    this.#empty = gl.createVertexArray();
    this.#quads = gl.createVertexArray();
    this.#indices = gl.createBuffer();
    gl.bindVertexArray(this.#quads);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.#indices);
    const corners = [0, 1, 2, 2, 1, 3];
    const indices = Uint16Array.from({ length: 6 * QUADS }, (_, i) => 4 * Math.floor(i / 6) + corners[i % 6]!);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
  }

  /** Bytes of the textures that belong to the picture and not to the splats. */
  get bytes(): number {
    const slots = (this.#projected?.rows ?? 0) * 32 + this.#orders.rows * 4 * this.#orders.textures.length;
    return slots * ROW_SLOTS + (this.#surface?.bytes ?? 0);
  }

  /** Splats in the order. */
  get count(): number {
    return this.#count;
  }

  /** Replaces the last pass, or with null sets the one that is built in. */
  setPass(pass: PicturePass | null): void {
    this.#pass?.dispose();
    this.#pass = pass;
  }

  /** Takes a new order; two textures take turns, so that none is written while it is drawn from. */
  setOrder(order: Uint32Array, count: number): void {
    const gl = this.#gl;
    const needed = Math.ceil(count / ROW_SLOTS);
    gl.activeTexture(gl.TEXTURE0);
    if (needed > this.#orders.rows) {
      for (const handle of this.#orders.textures) gl.deleteTexture(handle);
      const height = Math.ceil(needed * 1.25);
      const make = (): WebGLTexture => texture(gl, gl.R32UI, ROW_SLOTS, height);
      this.#orders = { rows: height, textures: [make(), make()] };
    }
    this.#orders.textures.reverse();
    this.#serial++;
    const current = this.#orders.textures[0];
    this.#count = count;
    if (!current) return;
    gl.bindTexture(gl.TEXTURE_2D, current);
    rows(0, count, (x, y, width, height, first) => {
      const part = order.subarray(first, first + width * height);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, x, y, width, height, gl.RED_INTEGER, gl.UNSIGNED_INT, part);
    });
  }

  /** Projects all slots of `blocks`, `used` rows of each. */
  project(
    blocks: readonly (Block | null)[],
    used: (block: number) => number,
    groups: WebGLTexture,
    view: View,
    antialiased: boolean,
  ): void {
    if (blocks.length === 0) return;
    const gl = this.#gl;
    const projected = this.#projectedRoom(blocks.length * BLOCK_ROWS);
    const inUse = blocks.map((_, number) => used(number));
    const [focal, { width, height }] = [view.K[0]!, view];
    this.#drawn = { blocks, rows: inUse, groups, focal, width, height };
    this.#serial++;
    gl.bindFramebuffer(gl.FRAMEBUFFER, projected.framebuffer);
    gl.disable(gl.BLEND);
    gl.bindVertexArray(this.#empty);
    let last: Program | null = null;
    blocks.forEach((block, number) => {
      const height = used(number);
      if (!block || height === 0) return;
      const program = block.sh ? this.#project[1] : this.#project[0];
      if (program !== last) setView(gl, program, view, antialiased);
      last = program;
      gl.viewport(0, number * BLOCK_ROWS, ROW_SLOTS, height);
      gl.uniform1i(program.uniforms.get('firstRow') ?? null, number * BLOCK_ROWS);
      bind(gl, program, 'base', 0, gl.TEXTURE_2D_ARRAY, block.base);
      bind(gl, program, 'groupOf', 1, gl.TEXTURE_2D, block.groups);
      bind(gl, program, 'groups', 2, gl.TEXTURE_2D, groups);
      if (block.sh) bind(gl, program, 'sh', 3, gl.TEXTURE_2D_ARRAY, block.sh);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    });
  }

  /** Frees the projection once there are no splats any more. */
  trim(blocks: number): void {
    if (blocks > 0) return;
    this.#free(this.#projected);
    this.#projected = null;
  }

  /** Draws what was projected, in order, into the picture. */
  draw(width: number, height: number): void {
    const gl = this.#gl;
    const surface = this.#room(width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, surface.framebuffer);
    gl.viewport(0, 0, width, height);
    this.#drawSplats(this.#splat, width, height, surface.range);
  }

  /** Lets the last pass put the picture on the canvas. */
  present(hasProxies: () => boolean): void {
    const gl = this.#gl;
    const surface = this.#surface;
    if (!surface) return;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, surface.width, surface.height);
    const kinds = { serial: this.#serial, draw: () => (hasProxies() ? this.#drawKinds() : null) };
    (this.#pass ?? this.#present).draw(gl, surface, kinds);
    this.#kinds?.free();
  }

  #drawKinds(): PictureKinds | null {
    const order = this.#orders.textures[0];
    if (this.target !== 'float' || !this.#drawn || !this.#projected || !order) return null;
    this.#kinds ??= new KindsPass(this.#gl, QUADS);
    const drawn = { ...this.#drawn, projected: this.#projected.textures, order };
    const { width, height } = drawn;
    const quads = (program: Program): void => this.#drawSplats(program, width, height, 1);
    return this.#kinds.draw(drawn, this.#hasSh, [DEPTH_LOG2_LEAST, DEPTH_LOG2_SPAN], quads);
  }

  /** Depth along z at a pixel of the last projection, or null where nothing is. */
  async depthAt(x: number, y: number, width: number, height: number): Promise<number | null> {
    const gl = this.#gl;
    this.#pick ??= compile(gl, splatVertex(QUADS, true), SPLAT_FRAGMENT);
    const float = this.target === 'float';
    gl.activeTexture(gl.TEXTURE0);
    const pixel = texture(gl, float ? gl.RGBA16F : gl.RGBA8, 1, 1);
    const target = framebuffer(gl, [pixel]);
    gl.viewport(-Math.floor(x), Math.floor(y) - height + 1, width, height);
    this.#drawSplats(this.#pick, width, height, 1);
    const values = float ? new Float32Array(4) : new Uint8Array(4);
    await readLater(gl, float ? gl.FLOAT : gl.UNSIGNED_BYTE, values, () => {
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
      gl.deleteFramebuffer(target);
      gl.deleteTexture(pixel);
    });
    const coverage = values[3]! / (float ? 1 : 255);
    if (!(coverage >= COVERED)) return null;
    return 2 ** ((values[0]! / values[3]!) * DEPTH_LOG2_SPAN + DEPTH_LOG2_LEAST);
  }

  dispose(): void {
    const gl = this.#gl;
    this.setPass(null);
    this.#present.dispose();
    this.#kinds?.dispose();
    for (const program of [...this.#project, this.#splat, this.#pick]) {
      if (program) gl.deleteProgram(program.handle);
    }
    gl.deleteVertexArray(this.#quads);
    gl.deleteVertexArray(this.#empty);
    gl.deleteBuffer(this.#indices);
    this.#free(this.#projected);
    for (const handle of this.#orders.textures) gl.deleteTexture(handle);
    this.#surface?.dispose();
    [this.#projected, this.#surface, this.#orders] = [null, null, { rows: 0, textures: [] }];
  }

  #drawSplats(program: Program, width: number, height: number, range: number): void {
    const gl = this.#gl;
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const order = this.#orders.textures[0];
    if (!this.#projected || !order || this.#count === 0) return;
    gl.useProgram(program.handle);
    bind(gl, program, 'projected0', 0, gl.TEXTURE_2D, this.#projected.textures[0]!);
    bind(gl, program, 'projected1', 1, gl.TEXTURE_2D, this.#projected.textures[1]!);
    bind(gl, program, 'order', 2, gl.TEXTURE_2D, order);
    gl.uniform2f(program.uniforms.get('size') ?? null, width, height);
    gl.uniform1i(program.uniforms.get('count') ?? null, this.#count);
    gl.uniform1f(program.uniforms.get('range') ?? null, range);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindVertexArray(this.#quads);
    const instances = Math.ceil(this.#count / QUADS);
    gl.drawElementsInstanced(gl.TRIANGLES, 6 * QUADS, gl.UNSIGNED_SHORT, 0, instances);
    gl.disable(gl.BLEND);
    gl.bindVertexArray(null);
  }

  /** The picture to draw into, of this size. */
  #room(width: number, height: number): Surface {
    if (this.#surface?.width === width && this.#surface.height === height) return this.#surface;
    this.#surface?.dispose();
    this.#surface = new Surface(this.#gl, this.target, width, height);
    return this.#surface;
  }

  /** Textures for the projected splats, with room for `height` rows; what they held is lost. */
  #projectedRoom(height: number): { textures: WebGLTexture[]; framebuffer: WebGLFramebuffer } {
    const gl = this.#gl;
    const rows = this.#projected?.rows ?? 0;
    if (!this.#projected || rows < height || rows > 2 * height) {
      this.#free(this.#projected);
      gl.activeTexture(gl.TEXTURE0);
      const make = (): WebGLTexture => texture(gl, gl.RGBA32UI, ROW_SLOTS, height);
      const textures = [make(), make()];
      this.#projected = { rows: height, textures, framebuffer: framebuffer(gl, textures) };
    }
    return this.#projected;
  }

  #free(room: { textures: WebGLTexture[]; framebuffer: WebGLFramebuffer } | null): void {
    for (const handle of room?.textures ?? []) this.#gl.deleteTexture(handle);
    this.#gl.deleteFramebuffer(room?.framebuffer ?? null);
  }
}

/** Sets the camera of a projection program. */
function setView(gl: WebGL2RenderingContext, program: Program, view: View, antialiased: boolean): void {
  const { viewmat: V, K, width, height } = view;
  const at = (name: string): WebGLUniformLocation | null => program.uniforms.get(name) ?? null;
  gl.useProgram(program.handle);
  gl.uniformMatrix4fv(at('view'), true, Float32Array.from(V));
  gl.uniform2f(at('focal'), K[0]!, K[4]!);
  gl.uniform2f(at('center'), K[2]!, K[5]!);
  gl.uniform2f(at('size'), width, height);
  const eye = eyeOf(view);
  gl.uniform3f(at('eye'), eye[0], eye[1], eye[2]);
  gl.uniform1i(at('antialiased'), antialiased ? 1 : 0);
}

/** The position of a camera. */
export function eyeOf({ viewmat: V }: View): [number, number, number] {
  const along = (j: number): number => -(V[j]! * V[3]! + V[4 + j]! * V[7]! + V[8 + j]! * V[11]!);
  return [along(0), along(1), along(2)];
}
