// 16 bit floats from the bits of 32 bit ones, rounded to nearest even.

/** The half float nearest to the float with these bits; NaN becomes 0, what is too large 65504. */
export function halfOfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const size = bits & 0x7fffffff;
  if (size >= 0x477ff000) return size > 0x7f800000 ? 0 : sign | 0x7bff;
  if (size < 0x38800000) {
    const shift = 126 - (size >>> 23);
    if (shift > 24) return sign;
    const mantissa = (size & 0x7fffff) | 0x800000;
    return sign | ((mantissa + (1 << (shift - 1))) >>> shift);
  }
  return sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
}

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** The half float nearest to `value`, as its 16 bits. */
export function toHalf(value: number): number {
  float[0] = value;
  return halfOfBits(word[0]!);
}

/** The value of a half float. */
export function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const mantissa = half & 1023;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
