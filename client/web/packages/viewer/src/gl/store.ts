// The splats on the GPU: for each block of slots a base texture of two layers, one with the group of
// each splat, and, once harmonics arrive, one with these.

import {
  BLOCK_BITS,
  BLOCK_ROWS,
  BLOCK_SLOTS,
  ROW_BITS,
  ROW_SLOTS,
  WORDS,
  shLayers,
  type ShPrecision,
  type Span,
} from '../splats/layout.ts';
import type { Packed } from '../sort/messages.ts';
import { layered, texture } from './context.ts';

/** Textures of one block. */
export interface Block {
  readonly base: WebGLTexture;
  readonly groups: WebGLTexture;
  readonly sh: WebGLTexture | null;
}

export class Store {
  readonly #gl: WebGL2RenderingContext;
  readonly #layers: number;
  readonly #blocks: (Block | null)[] = []; // null: nothing in it

  constructor(gl: WebGL2RenderingContext, shDegree: number, precision: ShPrecision) {
    this.#gl = gl;
    this.#layers = shLayers(shDegree, precision);
  }

  get blocks(): readonly (Block | null)[] {
    return this.#blocks;
  }

  /** Bytes of all textures. */
  get bytes(): number {
    const words = this.#blocks.map((block) =>
      block ? 2 * WORDS + 1 + (block.sh ? WORDS * this.#layers : 0) : 0,
    );
    return words.reduce((a, b) => a + b, 0) * 4 * BLOCK_SLOTS;
  }

  /** Writes the changed arrays of a part into its slots. */
  upload(spans: readonly Span[], packed: Packed): void {
    const gl = this.#gl;
    const count = spans.reduce((sum, span) => sum + span.count, 0);
    let from = 0;
    for (const { start, count: run } of spans) {
      const number = start >> BLOCK_BITS;
      const slot = start & (BLOCK_SLOTS - 1);
      const block = this.#block(number, packed.sh !== null);
      gl.activeTexture(gl.TEXTURE0);
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, block.base);
      if (packed.a) this.#layer(0, slot, words(packed.a, from, run));
      if (packed.b) this.#layer(1, slot, words(packed.b, from, run));
      if (packed.groups) {
        gl.bindTexture(gl.TEXTURE_2D, block.groups);
        this.#numbers(slot, packed.groups.subarray(from, from + run));
      }
      if (packed.sh && block.sh) {
        gl.bindTexture(gl.TEXTURE_2D_ARRAY, block.sh);
        for (let layer = 0; layer < this.#layers; layer++) {
          this.#layer(layer, slot, words(packed.sh, layer * count + from, run));
        }
      }
      from += run;
    }
  }

  /** Frees the textures of empty blocks. */
  trim(isUsed: (block: number) => boolean): void {
    this.#blocks.forEach((block, number) => {
      if (block && !isUsed(number)) this.#free(number);
    });
    while (this.#blocks.length > 0 && !this.#blocks[this.#blocks.length - 1]) this.#blocks.pop();
  }

  dispose(): void {
    this.trim(() => false);
  }

  #free(number: number): void {
    const block = this.#blocks[number]!;
    for (const handle of [block.base, block.groups, block.sh]) this.#gl.deleteTexture(handle);
    this.#blocks[number] = null;
  }

  #block(number: number, withSh: boolean): Block {
    const gl = this.#gl;
    while (this.#blocks.length <= number) this.#blocks.push(null);
    let block = this.#blocks[number];
    if (!block) {
      gl.activeTexture(gl.TEXTURE0);
      block = this.#blocks[number] = {
        base: layered(gl, gl.RGBA32UI, ROW_SLOTS, BLOCK_ROWS, 2),
        groups: texture(gl, gl.R32UI, ROW_SLOTS, BLOCK_ROWS),
        sh: null,
      };
    }
    if (withSh && !block.sh && this.#layers > 0) {
      block = { ...block, sh: layered(gl, gl.RGBA32UI, ROW_SLOTS, BLOCK_ROWS, this.#layers) };
      this.#blocks[number] = block;
    }
    return block;
  }

  /** Writes to one layer of the layered texture that is bound. */
  #layer(layer: number, slot: number, data: Uint32Array): void {
    const gl = this.#gl;
    rows(slot, data.length / WORDS, (x, y, width, height, first) => {
      const part = data.subarray(WORDS * first, WORDS * (first + width * height));
      const target = gl.TEXTURE_2D_ARRAY;
      gl.texSubImage3D(
        target, 0, x, y, layer, width, height, 1, gl.RGBA_INTEGER, gl.UNSIGNED_INT, part,
      );
    });
  }

  /** Writes one word for each slot to the texture that is bound. */
  #numbers(slot: number, data: Uint32Array): void {
    const gl = this.#gl;
    rows(slot, data.length, (x, y, width, height, first) => {
      const part = data.subarray(first, first + width * height);
      gl.texSubImage2D(
        gl.TEXTURE_2D, 0, x, y, width, height, gl.RED_INTEGER, gl.UNSIGNED_INT, part,
      );
    });
  }
}

function words(array: Uint32Array, first: number, count: number): Uint32Array {
  return array.subarray(WORDS * first, WORDS * (first + count));
}

/** Cuts a run of slots into at most three rectangles: the rest of a row, whole rows, a row's begin. */
export function rows(
  slot: number,
  count: number,
  write: (x: number, y: number, width: number, height: number, first: number) => void,
): void {
  let first = 0;
  while (first < count) {
    const x = (slot + first) & (ROW_SLOTS - 1);
    const y = (slot + first) >> ROW_BITS;
    const left = count - first;
    const whole = x === 0 ? Math.floor(left / ROW_SLOTS) : 0;
    const width = whole > 0 ? ROW_SLOTS : Math.min(left, ROW_SLOTS - x);
    const height = Math.max(1, whole);
    write(x, y, width, height, first);
    first += width * height;
  }
}
