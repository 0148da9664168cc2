// 63-bit Morton codes as two words: three grid coordinates of 21 bits, interleaved. Bit 0 of the
// code is bit 0 of x, bit 1 of y, bit 2 of z. The low word holds bits 0 to 31.

/** The coordinate x of a code. */
export function mortonX(low: number, high: number): number {
  return everyThird(low) | (everyThird(high >>> 1) << 11);
}

/** The coordinate y of a code. */
export function mortonY(low: number, high: number): number {
  return everyThird(low >>> 1) | (everyThird(high >>> 2) << 11);
}

/** The coordinate z of a code. */
export function mortonZ(low: number, high: number): number {
  return (everyThird(low >>> 2) & 0x3ff) | (everyThird(high) << 10);
}

function everyThird(word: number): number {
  let bits = word & 0x49249249;
  bits = (bits | (bits >>> 2)) & 0xc30c30c3;
  bits = (bits | (bits >>> 4)) & 0x0f00f00f;
  bits = (bits | (bits >>> 8)) & 0xff0000ff;
  return (bits | (bits >>> 16)) & 0x7ff;
}
