// What the formulas of the payloads share: limits, quantizer steps, quaternions, half floats.

import { MAX_MAGNITUDE, SCALE_LOG_MAX, SCALE_LOG_MIN } from '../constants.ts';
import { DamagedError } from '../errors.ts';

/** `value`, limited to the format's largest magnitude. */
export function clamp(value: number): number {
  return value > MAX_MAGNITUDE ? MAX_MAGNITUDE : value < -MAX_MAGNITUDE ? -MAX_MAGNITUDE : value;
}

/** Raises DamagedError unless all quantizer steps are greater than 0 and finite. */
export function checkSteps(steps: readonly number[], section: string): void {
  if (!steps.every((step) => step > 0 && step <= MAX_MAGNITUDE)) {
    throw new DamagedError('a quantizer step is not positive and finite', section);
  }
}

/** The scale of a logarithm within the format's bounds. */
export function scaleOf(log: number): number {
  return Math.exp(log > SCALE_LOG_MAX ? SCALE_LOG_MAX : log < SCALE_LOG_MIN ? SCALE_LOG_MIN : log);
}

const LONGEST_TABLE = 4096;

/**
 * `f` of the integers that columns of `count` values hold, all within `least` to `most`: from a
 * table where fewer than `count` different integers can occur.
 */
export function tabulated(
  f: (integer: number) => number,
  least: number,
  most: number,
  count: number,
): (integer: number) => number {
  const length = most - least + 1;
  if (!(length <= Math.min(count, LONGEST_TABLE))) return f;
  const table = Float64Array.from({ length }, (_, place) => f(least + place));
  return (integer) => table[integer - least]!;
}

/** Writes the unit quaternion with this x, y, z and w >= 0; a longer vector is cut to 1. */
export function writeQuat(quats: Float32Array, at: number, x: number, y: number, z: number): void {
  const norm = x * x + y * y + z * z;
  const by = norm > 1 ? Math.sqrt(norm) : 1;
  quats[at] = norm < 1 ? Math.sqrt(1 - norm) : 0;
  quats[at + 1] = x / by;
  quats[at + 2] = y / by;
  quats[at + 3] = z / by;
}

/** The number that 16 bits encode as an IEEE 754 half. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 0x3ff;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1024 + mantissa) * 2 ** (exponent - 25);
}
