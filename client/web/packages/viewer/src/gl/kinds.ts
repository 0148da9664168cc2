// What kinds of splats each pixel consists of, for painters: the same quads as the picture, with the kind
// in place of the colour. Drawn only on demand.

import { BLOCK_ROWS, ROW_SLOTS } from '../splats/layout.ts';
import { LOG_LEAST, LOG_SPAN } from '../splats/pack.ts';
import { bind, compile, framebuffer, isComplete, texture, type Program } from './context.ts';
import { FULL_VERTEX, HEAD, splatCorner } from './shaders.ts';
import type { Block } from './store.ts';

/** Sizes of proxies are octaves above this many pixels. */
export const LEAST_PX = 0.1;
const MOST_PX = 1000;

/** Kinds of a picture's pixels, upside down like every texture that is drawn into. */
export interface PictureKinds {
  /** Sums of blending weights: proxies, leaves without harmonics, log2 of depth as a share; alpha: all. */
  readonly shares: WebGLTexture;
  /** Octaves of the second longest and the longest axis of proxies, times their weights. */
  readonly sizes: WebGLTexture;
}

/** What the last frame was drawn from. */
export interface Drawn {
  readonly blocks: readonly (Block | null)[];
  readonly rows: readonly number[]; // in use, by block
  readonly groups: WebGLTexture;
  readonly projected: readonly WebGLTexture[];
  readonly order: WebGLTexture;
  readonly focal: number;
  readonly width: number;
  readonly height: number;
}

// Slot -> octaves of the two longest axes, whether it is a proxy, whether harmonics are pending.
const PROJECT = `${HEAD}
uniform usampler2DArray base;uniform usampler2D groupOf,projected1;uniform sampler2D groups;
uniform int firstRow;uniform float focal,pending,depthLeast,depthSpan;
layout(location=0) out uvec2 result;
float scaleOf(uint code){return exp(float(code&65535u)*${LOG_SPAN / 65535}+float(${LOG_LEAST}));}
float octaves(float px){return log2(clamp(px,float(${LEAST_PX}),float(${MOST_PX}))/float(${LEAST_PX}));}
void main(){
  ivec2 to=ivec2(gl_FragCoord.xy),at=to-ivec2(0,firstRow);
  uint g=texelFetch(groupOf,at,0).x;
  vec4 group=texelFetch(groups,ivec2(int(g)&1023,int(g)>>10),0);
  uvec4 B=texelFetch(base,ivec3(at,1),0);
  vec3 s=vec3(scaleOf(B.y>>16u),scaleOf(B.z),scaleOf(B.z>>16u))*group.y;
  float most=max(s.x,max(s.y,s.z)),least=min(s.x,min(s.y,s.z)),mid=s.x+s.y+s.z-most-least;
  float share=unpackHalf2x16(texelFetch(projected1,to,0).w).y;
  float px=focal/exp2(share*depthSpan+depthLeast);
  vec2 kind=vec2(group.w,pending*(1.-group.w)*(1.-group.z));
  result=uvec2(packHalf2x16(vec2(octaves(mid*px),octaves(most*px))),packHalf2x16(kind));
}`;

const VERTEX = (batch: number): string => `${HEAD}
uniform usampler2D projected0,projected1,order,kinds;uniform vec2 size;uniform int count;
out vec2 sigma;flat out vec4 color;flat out vec2 octaves;
${splatCorner(batch)}
void main(){
  gl_Position=vec4(0.,0.,2.,1.);
  ivec2 at;uvec4 q1;float opacity;
  if(!place(at,q1,opacity))return;
  uvec2 kind=texelFetch(kinds,at,0).xy;
  vec2 shares=unpackHalf2x16(kind.y);
  color=vec4(shares,unpackHalf2x16(q1.w).y,opacity);
  octaves=unpackHalf2x16(kind.x)*shares.x;
}`;

const FRAGMENT = `${HEAD}
in vec2 sigma;flat in vec4 color;flat in vec2 octaves;
layout(location=0) out vec4 shares;layout(location=1) out vec4 sizes;
void main(){
  float alpha=min(.999,color.a*exp(-.5*dot(sigma,sigma)));
  if(alpha<1./255.)discard;
  shares=vec4(color.rgb*alpha,alpha);sizes=vec4(octaves*alpha,0.,alpha);
}`;

interface Room {
  readonly slots: number; // rows
  readonly width: number;
  readonly height: number;
  readonly bySlot: WebGLTexture;
  readonly toSlots: WebGLFramebuffer;
  readonly shares: WebGLTexture;
  readonly sizes: WebGLTexture;
  readonly toPicture: WebGLFramebuffer;
}

/** Draws the kinds of a picture. */
export class KindsPass {
  readonly #gl: WebGL2RenderingContext;
  readonly #project: Program;
  readonly #splat: Program;
  #room: Room | null = null;

  constructor(gl: WebGL2RenderingContext, batch: number) {
    this.#gl = gl;
    this.#project = compile(gl, FULL_VERTEX, PROJECT);
    this.#splat = compile(gl, VERTEX(batch), FRAGMENT);
  }

  /** Draws; `quads` draws all quads in order with the program in use. Null where nothing can be drawn. */
  draw(drawn: Drawn, hasSh: boolean, depth: readonly [number, number], quads: (to: Program) => void): PictureKinds | null {
    const gl = this.#gl;
    const room = this.#roomFor(drawn);
    if (!room) return null;
    gl.useProgram(this.#project.handle);
    const at = (name: string): WebGLUniformLocation | null => this.#project.uniforms.get(name) ?? null;
    gl.uniform1f(at('focal'), drawn.focal);
    gl.uniform1f(at('pending'), hasSh ? 1 : 0);
    gl.uniform1f(at('depthLeast'), depth[0]);
    gl.uniform1f(at('depthSpan'), depth[1]);
    gl.bindFramebuffer(gl.FRAMEBUFFER, room.toSlots);
    bind(gl, this.#project, 'groups', 2, gl.TEXTURE_2D, drawn.groups);
    bind(gl, this.#project, 'projected1', 3, gl.TEXTURE_2D, drawn.projected[1]!);
    drawn.blocks.forEach((block, number) => {
      const height = drawn.rows[number] ?? 0;
      if (!block || height === 0) return;
      gl.viewport(0, number * BLOCK_ROWS, ROW_SLOTS, height);
      gl.uniform1i(at('firstRow'), number * BLOCK_ROWS);
      bind(gl, this.#project, 'base', 0, gl.TEXTURE_2D_ARRAY, block.base);
      bind(gl, this.#project, 'groupOf', 1, gl.TEXTURE_2D, block.groups);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    });
    gl.bindFramebuffer(gl.FRAMEBUFFER, room.toPicture);
    gl.viewport(0, 0, drawn.width, drawn.height);
    gl.useProgram(this.#splat.handle);
    bind(gl, this.#splat, 'kinds', 3, gl.TEXTURE_2D, room.bySlot);
    quads(this.#splat);
    return { shares: room.shares, sizes: room.sizes };
  }

  /** Frees the textures until they are needed again. */
  free(): void {
    const gl = this.#gl;
    if (!this.#room) return;
    const { bySlot, shares, sizes, toSlots, toPicture } = this.#room;
    for (const handle of [bySlot, shares, sizes]) gl.deleteTexture(handle);
    for (const handle of [toSlots, toPicture]) gl.deleteFramebuffer(handle);
    this.#room = null;
  }

  dispose(): void {
    this.free();
    for (const { handle } of [this.#project, this.#splat]) this.#gl.deleteProgram(handle);
  }

  #roomFor({ blocks, width, height }: Drawn): Room | null {
    const gl = this.#gl;
    const slots = blocks.length * BLOCK_ROWS;
    const held = this.#room;
    if (held?.slots === slots && held.width === width && held.height === height) return held;
    this.free();
    gl.activeTexture(gl.TEXTURE0);
    const bySlot = texture(gl, gl.RG32UI, ROW_SLOTS, slots);
    const shares = texture(gl, gl.RGBA16F, width, height);
    const sizes = texture(gl, gl.RGBA16F, width, height);
    const toSlots = framebuffer(gl, [bySlot]);
    const toPicture = framebuffer(gl, [shares, sizes]);
    this.#room = { slots, width, height, bySlot, toSlots, shares, sizes, toPicture };
    if (isComplete(gl)) return this.#room;
    this.free();
    return null;
  }
}
