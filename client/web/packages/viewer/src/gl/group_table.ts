// A value for each group, read by every splat: opacity factor, scale factor, share of the
// harmonics, and 1 for proxies.
// Fading, replacing and amplifying write here alone: no splat is touched and nothing is sorted.

import { texture } from './context.ts';

const WIDTH = 1024;

export class GroupTable {
  readonly #gl: WebGL2RenderingContext;
  #values: Float32Array;
  #texture: WebGLTexture | null = null;
  #first = 0; // rows to upload
  #end = 0;

  constructor(gl: WebGL2RenderingContext) {
    this.#gl = gl;
    this.#values = new Float32Array(4 * WIDTH);
  }

  /** Whether a value has changed since `upload`. */
  get changed(): boolean {
    return this.#end > this.#first;
  }

  /** Whether any proxies are shown. */
  get hasProxies(): boolean {
    for (let at = 0; at < this.#values.length; at += 4) {
      if (this.#values[at]! > 0 && this.#values[at + 3] === 1) return true;
    }
    return false;
  }

  get(group: number): { opacity: number; amplification: number; harmonics: number } {
    const at = 4 * group;
    const [opacity = 0, amplification = 1, harmonics = 0] = this.#values.subarray(at, at + 3);
    return { opacity, amplification, harmonics };
  }

  set(group: number, opacity: number, amplification: number, harmonics: number): void {
    if (4 * group >= this.#values.length) this.#grow(group);
    const at = 4 * group;
    this.#values[at] = opacity;
    this.#values[at + 1] = amplification;
    this.#values[at + 2] = harmonics;
    const row = Math.floor(group / WIDTH);
    this.#first = this.changed ? Math.min(this.#first, row) : row;
    this.#end = Math.max(this.#end, row + 1);
  }

  /** Says of a group whether it consists of proxies. */
  setKind(group: number, isProxy: boolean): void {
    const { opacity, amplification, harmonics } = this.get(group);
    this.set(group, opacity, amplification, harmonics);
    this.#values[4 * group + 3] = isProxy ? 1 : 0;
  }

  /** The texture, with all values in it. */
  upload(): WebGLTexture {
    const gl = this.#gl;
    const height = this.#values.length / 4 / WIDTH;
    gl.activeTexture(gl.TEXTURE0);
    if (!this.#texture) {
      this.#texture = texture(gl, gl.RGBA32F, WIDTH, height);
      [this.#first, this.#end] = [0, height];
    }
    if (this.changed) {
      gl.bindTexture(gl.TEXTURE_2D, this.#texture);
      const [first, end] = [this.#first, this.#end];
      const part = this.#values.subarray(4 * WIDTH * first, 4 * WIDTH * end);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, first, WIDTH, end - first, gl.RGBA, gl.FLOAT, part);
      [this.#first, this.#end] = [0, 0];
    }
    return this.#texture;
  }

  dispose(): void {
    this.#gl.deleteTexture(this.#texture);
    this.#texture = null;
  }

  #grow(group: number): void {
    const rows = 2 ** Math.ceil(Math.log2((group + 1) / WIDTH));
    const grown = new Float32Array(4 * WIDTH * rows);
    grown.set(this.#values);
    this.#values = grown;
    this.dispose();
  }
}
