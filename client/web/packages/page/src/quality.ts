// How good the picture is likely to be: read off the table of measurements in the file.

import type { QualityPoint } from '@exgs/client/update';

/** PSNR in dB after so many bytes behind header and root index; null before the first measurement. */
export function estimatedPsnr(points: readonly QualityPoint[], bytes: number): number | null {
  let below: QualityPoint | null = null;
  for (const point of points) {
    if (point.bytes > bytes) {
      if (!below) return null;
      const share = Math.log(bytes / below.bytes) / Math.log(point.bytes / below.bytes);
      return below.psnr + share * (point.psnr - below.psnr);
    }
    below = point;
  }
  return below?.psnr ?? null;
}
