import { describe, expect, test } from 'vitest';
import { fromHalf, toHalf } from '../src/splats/half.ts';
import { shLayers } from '../src/splats/layout.ts';
import { LOG_LEAST, LOG_SPAN, packBase, packSh } from '../src/splats/pack.ts';
import { normal, random } from './random.ts';
import { madeUp } from './splats.ts';

describe('half floats', () => {
  test('every half float comes back', () => {
    for (let half = 0; half < 65536; half++) {
      if ((half & 0x7c00) === 0x7c00) continue;
      expect(toHalf(fromHalf(half))).toBe(half);
    }
  });

  test('a float becomes the nearest half float, even ones for ties', () => {
    const next = random(3);
    for (let i = 0; i < 5000; i++) {
      const value = Math.fround(normal(next) * 10 ** Math.floor(12 * next() - 8));
      const half = toHalf(value);
      const error = Math.abs(fromHalf(half) - value);
      for (const other of [half - 1, half + 1]) {
        if ((other & 0x7fff) > 0x7bff || other < 0) continue;
        expect(error).toBeLessThanOrEqual(Math.abs(fromHalf(other) - value));
      }
    }
    expect(fromHalf(toHalf(2049))).toBe(2048);
    expect(fromHalf(toHalf(2051))).toBe(2052);
  });

  test('what is too large becomes the largest, and what is no number 0', () => {
    expect(fromHalf(toHalf(1e9))).toBe(65504);
    expect(fromHalf(toHalf(-Infinity))).toBe(-65504);
    expect(toHalf(NaN)).toBe(0);
  });
});

/** The obvious reading of what the shader reads. */
function unpack(a: Uint32Array, b: Uint32Array, i: number) {
  const floats = new Float32Array(a.buffer);
  const component = (bits: number): number => (((bits & 32767) - 16383) / 16383) * Math.SQRT1_2;
  const low = b[4 * i]!;
  const high = b[4 * i + 1]!;
  const rest = [component(low), component(low >>> 15), component(high)];
  const left = Math.sqrt(Math.max(0, 1 - rest.reduce((sum, v) => sum + v * v, 0)));
  const quat = [...rest];
  quat.splice(low >>> 30, 0, left);
  const scale = (code: number): number => Math.exp(((code & 65535) * LOG_SPAN) / 65535 + LOG_LEAST);
  return {
    mean: [...floats.subarray(4 * i, 4 * i + 3)],
    opacity: (a[4 * i + 3]! & 65535) / 65535,
    quat,
    scales: [scale(high >>> 16), scale(b[4 * i + 2]!), scale(b[4 * i + 2]! >>> 16)],
    sh0: [a[4 * i + 3]! >>> 16, b[4 * i + 3]! & 65535, b[4 * i + 3]! >>> 16].map(fromHalf),
  };
}

describe('base words', () => {
  const count = 500;
  const data = madeUp(count, 0, 4);
  const packed = { a: new Uint32Array(4 * count), b: new Uint32Array(4 * count) };
  packBase(data, packed);

  test('hold every value within their precision', () => {
    for (let i = 0; i < count; i++) {
      const got = unpack(packed.a, packed.b, i);
      expect(got.mean).toEqual([...data.means.subarray(3 * i, 3 * i + 3)]);
      expect(Math.abs(got.opacity - data.opacities[i]!)).toBeLessThan(1e-5);
      const quat = [...data.quats.subarray(4 * i, 4 * i + 4)];
      const sign = Math.sign(quat.reduce((sum, v, j) => sum + v * got.quat[j]!, 0));
      expect(Math.hypot(...quat.map((v, j) => v - sign * got.quat[j]!))).toBeLessThan(1e-4);
      got.scales.forEach((s, j) => expect(Math.abs(s / data.scales[3 * i + j]! - 1)).toBeLessThan(3e-4));
      got.sh0.forEach((v, j) => expect(Math.abs(v - data.sh0[3 * i + j]!)).toBeLessThan(4e-3));
    }
  });

  test('a part of the columns leaves the others as they are', () => {
    const other = madeUp(count, 0, 5);
    for (const name of ['means', 'quats', 'scales', 'opacities', 'sh0'] as const) {
      const some = { a: packed.a.slice(), b: packed.b.slice() };
      packBase({ [name]: other[name] }, some);
      const whole = { a: new Uint32Array(4 * count), b: new Uint32Array(4 * count) };
      packBase({ ...data, [name]: other[name] }, whole);
      expect(some).toEqual(whole);
    }
  });

  test('extremes stay finite', () => {
    const odd = madeUp(4);
    odd.scales.set([0, 1e30, NaN, -1]);
    odd.quats.set([0, 0, 0, 0, 1, 0, 0, 0, -1, 0, 0, 0, 0.5, -0.5, 0.5, -0.5]);
    const words = { a: new Uint32Array(16), b: new Uint32Array(16) };
    packBase(odd, words);
    for (let i = 0; i < 4; i++) {
      const { quat, scales } = unpack(words.a, words.b, i);
      expect([...quat, ...scales].every(Number.isFinite)).toBe(true);
    }
    const turned = unpack(words.a, words.b, 3).quat;
    [0.5, -0.5, 0.5, -0.5].forEach((v, j) => expect(Math.abs(turned[j]! - v)).toBeLessThan(1e-4));
  });
});

describe('harmonics', () => {
  test.each([1, 2, 3])('half floats of degree %i are where the shader looks for them', (degree) => {
    const k = (degree + 1) ** 2 - 1;
    const shN = madeUp(20, k, 6).shN!;
    const halves = new Uint16Array(packSh(shN, 20, degree, 'half').buffer);
    for (let i = 0; i < 20; i++) {
      for (let v = 0; v < 3 * k; v++) {
        const value = fromHalf(halves[(v >> 3) * 160 + 8 * i + (v & 7)]!);
        expect(Math.abs(value - shN[i * 3 * k + v]!)).toBeLessThan(1e-3);
      }
    }
  });

  test.each([1, 2, 3])('bytes of degree %i keep a 127th of the greatest', (degree) => {
    const k = (degree + 1) ** 2 - 1;
    const shN = madeUp(20, k, 7).shN!;
    const words = packSh(shN, 20, degree, 'byte');
    expect(words.length).toBe(20 * 4 * shLayers(degree, 'byte'));
    const bytes = new Int8Array(words.buffer);
    for (let i = 0; i < 20; i++) {
      const row = shN.subarray(i * 3 * k, (i + 1) * 3 * k);
      const scale = fromHalf((bytes[16 * i]! & 255) | ((bytes[16 * i + 1]! & 255) << 8));
      for (let v = 0; v < 3 * k; v++) {
        const at = v + 2;
        const value = (bytes[(at >> 4) * 320 + 16 * i + (at & 15)]! / 127) * scale;
        expect(Math.abs(value - row[v]!)).toBeLessThan(Math.max(...row.map(Math.abs)) / 200);
      }
    }
  });

  test('fewer coefficients than the scene has are filled up with 0', () => {
    const halves = new Uint16Array(packSh(new Float32Array(18).fill(1), 2, 2, 'half').buffer);
    const first = Array.from({ length: 24 }, (_, v) => fromHalf(halves[(v >> 3) * 16 + (v & 7)]!));
    expect(first).toEqual([...Array(9).fill(1), ...Array(15).fill(0)]);
  });
});
