// A pass that sharpens pictures of files with proxies once the picture rests, as `--painter sharpen` does:
// a network chooses gains of bands of detail for cells of 4x4 pixels, from the picture and from what the
// renderer knows of it. Loaded only where it is switched on.

import {
  bind,
  compile,
  framebuffer,
  isComplete,
  layered,
  layers,
  texture,
  type Program,
  type TextureLayer,
} from '../gl/context.ts';
import type { PictureKinds } from '../gl/kinds.ts';
import { PresentPass, type KindsSource, type PicturePass, type SplatPicture } from '../gl/picture.ts';
import { FULL_VERTEX, PRESENT_FRAGMENT } from '../gl/shaders.ts';
import { Network } from './network.ts';
import {
  BLUR,
  CELL,
  CELL_DEPTHS,
  CELL_KINDS,
  COMBINE,
  DETAIL,
  ENERGIES,
  FEATURE_LAYERS,
  FILTERS,
  OTHERS,
  UPRIGHT,
} from './shaders.ts';
import { readWeights } from './weights.ts';

const REST_MS = 150; // without a change, before a picture is sharpened
const NOWHERE = -999; // log2 of depths is above this
const SOURCES = { UPRIGHT, BLUR, CELL_KINDS, CELL_DEPTHS, DETAIL, ENERGIES, OTHERS, COMBINE, PRESENT: PRESENT_FRAGMENT };

type Pass = keyof typeof SOURCES;

/** A picture that has been sharpened. */
interface Result {
  readonly texture: WebGLTexture;
  readonly serial: number;
  readonly width: number;
  readonly height: number;
}

export class SharpenPass implements PicturePass {
  readonly #weights: ArrayBuffer;
  readonly #redraw: () => void;
  #gl: WebGL2RenderingContext | null = null;
  #plain: PresentPass | null = null;
  #network: Network | null = null;
  readonly #programs = new Map<Pass, Program>();
  #result: Result | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #rested = -1; // serial of the picture that has rested
  #isSharp = false;

  /** `weights` is the file detail.npz of exgs; `redraw` asks the viewer for one more frame. */
  constructor(weights: ArrayBuffer, redraw: () => void) {
    this.#weights = weights;
    this.#redraw = redraw;
  }

  /** Whether the picture on the canvas is sharpened. */
  get isSharp(): boolean {
    return this.#isSharp;
  }

  draw(gl: WebGL2RenderingContext, picture: SplatPicture, kinds: KindsSource): void {
    this.#gl = gl;
    const { width, height } = picture;
    const { serial } = kinds;
    const held = this.#result;
    const isSame = held?.serial === serial && held.width === width && held.height === height;
    if (!isSame && serial === this.#rested) this.#sharpen(gl, picture, kinds);
    else if (!isSame) this.#waitForRest(serial);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, width, height);
    const result = this.#result;
    this.#isSharp = result?.serial === serial;
    if (result && this.#isSharp) this.#run('PRESENT', { picture: result.texture }, { range: 1 });
    else (this.#plain ??= new PresentPass(gl)).draw(gl, picture);
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#forget();
    this.#plain?.dispose();
    this.#network?.dispose();
    for (const { handle } of this.#programs.values()) this.#gl?.deleteProgram(handle);
    this.#programs.clear();
    [this.#plain, this.#network, this.#rested, this.#isSharp] = [null, null, -1, false];
  }

  #forget(): void {
    this.#gl?.deleteTexture(this.#result?.texture ?? null);
    this.#result = null;
  }

  #waitForRest(serial: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#rested = serial;
      this.#redraw();
    }, REST_MS);
  }

  #sharpen(gl: WebGL2RenderingContext, picture: SplatPicture, source: KindsSource): void {
    this.#forget();
    const kinds = source.draw();
    if (!kinds) return;
    gl.bindVertexArray(null);
    const made: WebGLTexture[] = [];
    const { width, height } = picture;
    const make = (columns: number, rows: number, format: number = gl.RGBA16F): WebGLTexture => {
      gl.activeTexture(gl.TEXTURE0);
      made.push(texture(gl, format, columns, rows));
      return made[made.length - 1]!;
    };
    const levels = this.#blurredCopies(picture, () => make(width, height));
    const [columns, rows] = [Math.ceil(width / CELL), Math.ceil(height / CELL)];
    gl.activeTexture(gl.TEXTURE0);
    const features = layered(gl, gl.RGBA16F, columns, rows, FEATURE_LAYERS);
    made.push(features);
    const cell = (): WebGLTexture => make(columns, rows);
    const contrast = this.#features(kinds, levels, features, columns, rows, cell);
    const result = texture(gl, gl.RGBA8, width, height);
    this.#network ??= new Network(gl, readWeights(this.#weights));
    this.#network.run(features, columns, rows, (outputs) => {
      this.#to([result], width, height, () => {
        this.#run('COMBINE', { ...levels, contrast, shares: kinds.shares }, {}, { outputs });
      });
    });
    for (const handle of made) gl.deleteTexture(handle);
    this.#result = { texture: result, serial: source.serial, width, height };
  }

  /** The picture, upright, and its blurred copies, by the names that the shaders have for them. */
  #blurredCopies({ texture: picture, range, height, width }: SplatPicture, make: () => WebGLTexture): Record<string, WebGLTexture> {
    const between = make();
    let level = make();
    this.#to([level], width, height, () => this.#run('UPRIGHT', { picture }, { range }, {}, { height }));
    const levels: Record<string, WebGLTexture> = { level0: level };
    FILTERS.forEach(([middle, beside, outer, spacing], number) => {
      const next = make();
      const steps = [[level, between, 0, spacing], [between, next, spacing, 0]] as const;
      for (const [from, to, x, y] of steps) {
        this.#to([to], width, height, () => {
          this.#run('BLUR', { picture: from }, { weights: [middle, beside, outer] }, {}, { along: [x, y] });
        });
      }
      levels[`level${number + 1}`] = level = next;
    });
    return levels;
  }

  /** Fills the layers of features; returns the contrast of the cells. */
  #features(
    { shares, sizes }: PictureKinds,
    levels: Record<string, WebGLTexture>,
    features: WebGLTexture,
    columns: number,
    rows: number,
    make: () => WebGLTexture,
  ): WebGLTexture {
    const gl = this.#gl!;
    const depths = make();
    let median = 0;
    this.#to([depths], columns, rows, () => {
      this.#run('CELL_DEPTHS', { shares });
      median = readMedian(gl, columns, rows);
    });
    const [first, second, contrast] = [make(), make(), make()];
    this.#to([first, second], columns, rows, () => this.#run('CELL_KINDS', { shares, sizes }, { median }));
    this.#to(layers(features, 0, 4), columns, rows, () => this.#run('DETAIL', levels));
    this.#to([...layers(features, 4, 3), contrast], columns, rows, () => {
      this.#run('ENERGIES', { ...levels, first });
    });
    this.#to(layers(features, 7, 2), columns, rows, () => this.#run('OTHERS', { first, second }));
    return contrast;
  }

  /** Draws into textures, or layers of textures. */
  #to(textures: readonly (WebGLTexture | TextureLayer)[], width: number, height: number, draw: () => void): void {
    const gl = this.#gl!;
    const target = framebuffer(gl, textures);
    gl.viewport(0, 0, width, height);
    if (isComplete(gl)) draw();
    gl.deleteFramebuffer(target);
  }

  /** Runs a program for every pixel of what is bound. */
  #run(
    name: Pass,
    pictures: Readonly<Record<string, WebGLTexture>>,
    floats: Readonly<Record<string, number | readonly number[]>> = {},
    arrays: Readonly<Record<string, WebGLTexture>> = {},
    integers: Readonly<Record<string, number | readonly number[]>> = {},
  ): void {
    const gl = this.#gl!;
    let program = this.#programs.get(name);
    if (!program) this.#programs.set(name, (program = compile(gl, FULL_VERTEX, SOURCES[name])));
    gl.useProgram(program.handle);
    let unit = 0;
    for (const [key, handle] of Object.entries(pictures)) {
      if (program.uniforms.has(key)) bind(gl, program, key, unit++, gl.TEXTURE_2D, handle);
    }
    for (const [key, handle] of Object.entries(arrays)) {
      bind(gl, program, key, unit++, gl.TEXTURE_2D_ARRAY, handle);
    }
    for (const [key, value] of Object.entries(floats)) {
      const at = program.uniforms.get(key) ?? null;
      if (typeof value === 'number') gl.uniform1f(at, value);
      else gl.uniform3fv(at, value as number[]);
    }
    for (const [key, value] of Object.entries(integers)) {
      const at = program.uniforms.get(key) ?? null;
      if (typeof value === 'number') gl.uniform1i(at, value);
      else gl.uniform2iv(at, value as number[]);
    }
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
}

/** The median of the red channel of what is bound, less pixels without depth; 0 where there is none. */
function readMedian(gl: WebGL2RenderingContext, columns: number, rows: number): number {
  const pixels = new Float32Array(4 * columns * rows);
  gl.readPixels(0, 0, columns, rows, gl.RGBA, gl.FLOAT, pixels);
  const values = pixels.filter((value, i) => (i & 3) === 0 && value > NOWHERE).sort();
  return values[values.length >> 1] ?? 0;
}
