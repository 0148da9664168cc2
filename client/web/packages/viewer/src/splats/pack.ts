// Splats as the textures hold them: two layers of four words for the base, and layers of SH.
// Layer A: mean (3 f32), opacity u16 | red f16. Layer B: rotation (47 bit), log scales (3 u16),
// green and blue f16. The shader in gl/shaders.ts unpacks it.

import type { SplatData } from '@exgs/client/update';
import { halfOfBits, toHalf } from './half.ts';
import { WORDS, shCoefficients, shLayers, type ShPrecision } from './layout.ts';

/** Natural logarithms of scales are stored in steps of LOG_SPAN / 65535 from LOG_LEAST on. */
export const LOG_LEAST = -20;
export const LOG_SPAN = 32;

const COMPONENT_MAX = 16383; // of a rotation's component, which has 15 bits

/** Texture words of n splats. */
export interface PackedBase {
  readonly a: Uint32Array; // 4n
  readonly b: Uint32Array; // 4n
}

/** Writes those of `data` that are given over what `packed` holds, from its first splat on. */
export function packBase(data: Partial<SplatData>, packed: PackedBase): void {
  if (data.means) packMeans(data.means, packed.a);
  if (data.opacities) packOpacities(data.opacities, packed.a);
  if (data.quats) packQuats(data.quats, packed.b);
  if (data.scales) packScales(data.scales, packed.b);
  if (data.sh0) packColors(data.sh0, packed);
}

function packMeans(means: Float32Array, a: Uint32Array): void {
  const floats = new Float32Array(a.buffer, a.byteOffset, a.length);
  for (let i = 0, j = 0; i < means.length; i += 3, j += WORDS) {
    floats[j] = means[i]!;
    floats[j + 1] = means[i + 1]!;
    floats[j + 2] = means[i + 2]!;
  }
}

function packOpacities(opacities: Float32Array, a: Uint32Array): void {
  for (let i = 0, j = 3; i < opacities.length; i++, j += WORDS) {
    const opacity = Math.min(1, Math.max(0, opacities[i]!));
    a[j] = (a[j]! & 0xffff0000) | Math.round(opacity * 65535);
  }
}

function packScales(scales: Float32Array, b: Uint32Array): void {
  for (let i = 0, j = 0; i < scales.length; i += 3, j += WORDS) {
    b[j + 1] = (b[j + 1]! & 0xffff) | (logCode(scales[i]!) << 16);
    b[j + 2] = logCode(scales[i + 1]!) | (logCode(scales[i + 2]!) << 16);
  }
}

function logCode(scale: number): number {
  const code = Math.round(((Math.log(scale) - LOG_LEAST) / LOG_SPAN) * 65535);
  return code > 0 ? Math.min(65535, code) : 0; // NaN too
}

/** Smallest three: the largest component is left out; the others are at most sqrt(1/2). */
function packQuats(quats: Float32Array, b: Uint32Array): void {
  for (let i = 0, j = 0; i < quats.length; i += 4, j += WORDS) {
    const w = quats[i]!;
    const x = quats[i + 1]!;
    const y = quats[i + 2]!;
    const z = quats[i + 3]!;
    let largest = 0;
    let most = Math.abs(w);
    if (Math.abs(x) > most) [largest, most] = [1, Math.abs(x)];
    if (Math.abs(y) > most) [largest, most] = [2, Math.abs(y)];
    if (Math.abs(z) > most) [largest, most] = [3, Math.abs(z)];
    const sum = Math.hypot(w, x, y, z);
    const left = largest === 0 ? w : largest === 1 ? x : largest === 2 ? y : z;
    const factor = sum > 0 ? ((left < 0 ? -1 : 1) * Math.SQRT2 * COMPONENT_MAX) / sum : 0;
    const p = component(largest === 0 ? x : w, factor);
    const q = component(largest <= 1 ? y : x, factor);
    const r = component(largest <= 2 ? z : y, factor);
    b[j] = p | (q << 15) | (largest << 30);
    b[j + 1] = (b[j + 1]! & 0xffff0000) | r;
  }
}

function component(value: number, factor: number): number {
  return Math.min(2 * COMPONENT_MAX, Math.max(0, Math.round(value * factor) + COMPONENT_MAX));
}

function packColors(sh0: Float32Array, packed: PackedBase): void {
  const { a, b } = packed;
  const bits = new Uint32Array(sh0.buffer, sh0.byteOffset, sh0.length);
  for (let i = 0, j = 3; i < bits.length; i += 3, j += WORDS) {
    a[j] = (a[j]! & 0xffff) | (halfOfBits(bits[i]!) << 16);
    b[j] = halfOfBits(bits[i + 1]!) | (halfOfBits(bits[i + 2]!) << 16);
  }
}

/**
 * Higher coefficients of n splats as `shLayers` layers of 4n words, one layer after another.
 * `shN` may hold fewer coefficients than `degree` has (the rest is 0).
 */
export function packSh(
  shN: Float32Array,
  count: number,
  degree: number,
  precision: ShPrecision,
): Uint32Array {
  const layers = shLayers(degree, precision);
  const out = new Uint32Array(layers * count * WORDS);
  if (count === 0) return out;
  const stride = shN.length / count;
  const values = Math.min(stride, 3 * shCoefficients(degree));
  if (precision === 'half') packShHalf(shN, count, stride, values, out);
  else packShByte(shN, count, stride, values, out);
  return out;
}

function packShHalf(
  shN: Float32Array,
  count: number,
  stride: number,
  values: number,
  out: Uint32Array,
): void {
  const bits = new Uint32Array(shN.buffer, shN.byteOffset, shN.length);
  const halves = new Uint16Array(out.buffer);
  const layerHalves = count * WORDS * 2;
  for (let first = 0; first < values; first += 8) {
    const some = Math.min(8, values - first);
    const base = (first / 8) * layerHalves;
    for (let i = 0; i < count; i++) {
      const from = i * stride + first;
      const to = base + i * 8;
      for (let v = 0; v < some; v++) halves[to + v] = halfOfBits(bits[from + v]!);
    }
  }
}

/** A half float, the greatest magnitude, and then every value as a share of it in 127ths. */
function packShByte(
  shN: Float32Array,
  count: number,
  stride: number,
  values: number,
  out: Uint32Array,
): void {
  const bytes = new Int8Array(out.buffer);
  const layerBytes = count * WORDS * 4;
  for (let i = 0; i < count; i++) {
    const from = i * stride;
    let most = 0;
    for (let v = 0; v < values; v++) most = Math.max(most, Math.abs(shN[from + v]!));
    const scale = toHalf(most * 1.001);
    const factor = most > 0 ? 127 / (most * 1.001) : 0;
    bytes[i * 16] = scale & 255;
    bytes[i * 16 + 1] = scale >>> 8;
    for (let v = 0, at = 2; v < values; v++, at++) {
      const to = (at >> 4) * layerBytes + i * 16 + (at & 15);
      bytes[to] = Math.round(shN[from + v]! * factor);
    }
  }
}
