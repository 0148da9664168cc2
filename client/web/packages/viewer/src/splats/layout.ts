// The place of a splat: numbered slots, 2048 to a texture row, in blocks of 64 rows.
// A block is one set of textures; blocks come as they are needed and are never moved.

/** Slots in one row of a texture: a power of two, within every device's texture size. */
export const ROW_SLOTS = 2048;
export const ROW_BITS = 11;

/** Rows of one block. */
export const BLOCK_ROWS = 64;

/** Slots of one block. */
export const BLOCK_SLOTS = ROW_SLOTS * BLOCK_ROWS;
export const BLOCK_BITS = 17;

/** Slots are handed out in multiples of this, so that parts leave few crumbs behind. */
export const GRAIN = 64;

/** Words (u32) of a splat in each of the two base layers. */
export const WORDS = 4;

/** How the higher spherical harmonics are stored: 16 bit floats, or 8 bit with a scale. */
export type ShPrecision = 'half' | 'byte';

/** Number of coefficients above degree 0, each with three channels. */
export function shCoefficients(degree: number): number {
  return (degree + 1) ** 2 - 1;
}

/** Texture layers of four words that the higher coefficients of one splat take. */
export function shLayers(degree: number, precision: ShPrecision): number {
  const values = 3 * shCoefficients(degree);
  if (values === 0) return 0;
  return precision === 'half' ? Math.ceil(values / 8) : Math.ceil((2 + values) / 16);
}

/** A run of slots. */
export interface Span {
  readonly start: number;
  readonly count: number;
}
