// The network of exgs.painter.detail on the GPU: layers of four channels, one value for each cell.

import { bind, compile, framebuffer, layered, layers, type Program } from '../gl/context.ts';
import { FULL_VERTEX } from '../gl/shaders.ts';
import { ViewerError } from '../errors.ts';
import { convolution, FEATURE_LAYERS, LAYERS_AT_ONCE, type Convolution } from './shaders.ts';
import type { Weights } from './weights.ts';

const DILATIONS = [1, 2, 4, 1]; // of the blocks

interface Layer {
  readonly program: Program;
  readonly buffers: readonly WebGLBuffer[]; // of each draw
}

/** Textures of layers that are drawn into. */
interface Stack {
  readonly texture: WebGLTexture;
  readonly framebuffers: readonly WebGLFramebuffer[]; // of each draw
}

export class Network {
  readonly #gl: WebGL2RenderingContext;
  readonly #programs = new Map<string, Program>();
  readonly #enter: Layer;
  readonly #blocks: readonly (readonly [Layer, Layer])[];
  readonly #leave: Layer;
  readonly #width: number; // layers

  constructor(gl: WebGL2RenderingContext, weights: ReadonlyMap<string, Weights>) {
    this.#gl = gl;
    const own = { taps: 9, dilation: 1, rectifies: true, adds: false };
    this.#width = (weights.get('enter.bias')?.shape[0] ?? 0) / 4;
    const inputs = this.#width;
    this.#enter = this.#layer(weights, 'enter', { ...own, inputs: FEATURE_LAYERS, rectifies: false });
    this.#blocks = DILATIONS.map((dilation, n) => [
      this.#layer(weights, `blocks.${n}.0`, { ...own, inputs, dilation }),
      this.#layer(weights, `blocks.${n}.1`, { ...own, inputs, adds: true }),
    ]);
    this.#leave = this.#layer(weights, 'leave', { ...own, inputs, taps: 1 });
  }

  /** Evaluates features, a texture of FEATURE_LAYERS layers; `use` gets the texture of the outputs. */
  run(features: WebGLTexture, columns: number, rows: number, use: (outputs: WebGLTexture) => void): void {
    const gl = this.#gl;
    const stacks = Array.from({ length: 3 }, () => this.#stack(this.#enter, columns, rows));
    let [x, y, spare] = stacks as [Stack, Stack, Stack];
    const outputs = this.#stack(this.#leave, columns, rows);
    gl.viewport(0, 0, columns, rows);
    this.#apply(this.#enter, features, x);
    for (const [first, second] of this.#blocks) {
      this.#apply(first, x.texture, y);
      this.#apply(second, y.texture, spare, x.texture);
      [x, spare] = [spare, x];
    }
    this.#apply(this.#leave, x.texture, outputs);
    use(outputs.texture);
    for (const { texture, framebuffers } of [...stacks, outputs]) {
      gl.deleteTexture(texture);
      for (const handle of framebuffers) gl.deleteFramebuffer(handle);
    }
  }

  dispose(): void {
    for (const { handle } of this.#programs.values()) this.#gl.deleteProgram(handle);
    for (const { buffers } of [this.#enter, ...this.#blocks.flat(), this.#leave]) {
      for (const handle of buffers) this.#gl.deleteBuffer(handle);
    }
  }

  #apply({ program, buffers }: Layer, inputs: WebGLTexture, to: Stack, before?: WebGLTexture): void {
    const gl = this.#gl;
    gl.useProgram(program.handle);
    bind(gl, program, 'inputs', 0, gl.TEXTURE_2D_ARRAY, inputs);
    bind(gl, program, 'before', 1, gl.TEXTURE_2D_ARRAY, before ?? inputs);
    buffers.forEach((buffer, draw) => {
      gl.bindFramebuffer(gl.FRAMEBUFFER, to.framebuffers[draw]!);
      gl.bindBufferBase(gl.UNIFORM_BUFFER, 0, buffer);
      gl.uniform1i(program.uniforms.get('firstLayer') ?? null, draw * LAYERS_AT_ONCE);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    });
    gl.bindBufferBase(gl.UNIFORM_BUFFER, 0, null);
  }

  #layer(weights: ReadonlyMap<string, Weights>, name: string, options: Convolution): Layer {
    const gl = this.#gl;
    const [kernel, bias] = [weights.get(`${name}.weight`), weights.get(`${name}.bias`)];
    const { inputs, taps } = options;
    const [outs = 0, ins = 0, ...sides] = kernel?.shape ?? [];
    if (!kernel || bias?.shape[0] !== outs || Math.ceil(ins / 4) !== inputs || sides[0]! * sides[1]! !== taps) {
      throw new ViewerError('argument', `The weights for sharpening have no fitting ${name}.`);
    }
    const source = convolution(options);
    let program = this.#programs.get(source);
    if (!program) {
      program = compile(gl, FULL_VERTEX, source);
      gl.uniformBlockBinding(program.handle, gl.getUniformBlockIndex(program.handle, 'Weights'), 0);
      this.#programs.set(source, program);
    }
    const draws = Math.ceil(outs / (4 * LAYERS_AT_ONCE));
    const buffers = Array.from({ length: draws }, (_, draw) => {
      const handle = gl.createBuffer();
      gl.bindBuffer(gl.UNIFORM_BUFFER, handle);
      const first = 4 * LAYERS_AT_ONCE * draw;
      gl.bufferData(gl.UNIFORM_BUFFER, arranged(kernel, bias, taps, inputs, first), gl.STATIC_DRAW);
      return handle;
    });
    gl.bindBuffer(gl.UNIFORM_BUFFER, null);
    return { program, buffers };
  }

  /** Room for the outputs of a layer. */
  #stack({ buffers }: Layer, columns: number, rows: number): Stack {
    const gl = this.#gl;
    gl.activeTexture(gl.TEXTURE0);
    const handle = layered(gl, gl.RGBA16F, columns, rows, buffers.length * LAYERS_AT_ONCE);
    const framebuffers = buffers.map((_, draw) =>
      framebuffer(gl, layers(handle, LAYERS_AT_ONCE * draw, LAYERS_AT_ONCE)),
    );
    return { texture: handle, framebuffers };
  }
}

/**
 * The weights of output channels from `first` on as the shader reads them: matrices [output layer][tap]
 * [input layer], column by column, then the biases. `kernel` is [output][input][tap].
 */
export function arranged(
  kernel: Weights,
  bias: Weights,
  taps: number,
  inputs: number,
  first: number,
): Float32Array {
  const [outs, ins] = [kernel.shape[0]!, kernel.shape[1]!];
  const result = new Float32Array(LAYERS_AT_ONCE * (taps * inputs * 16 + 4));
  const biases = LAYERS_AT_ONCE * taps * inputs * 16;
  for (let own = 0; own < 4 * LAYERS_AT_ONCE; own++) {
    const out = first + own;
    if (out >= outs) break;
    result[biases + own] = bias.values[out]!;
    for (let input = 0; input < ins; input++) {
      for (let tap = 0; tap < taps; tap++) {
        const matrix = ((own >> 2) * taps + tap) * inputs + (input >> 2);
        result[16 * matrix + 4 * (input & 3) + (own & 3)] = kernel.values[(out * ins + input) * taps + tap]!;
      }
    }
  }
  return result;
}
