// A picture of the scene to show before the first splats.

import type { Poster } from '@exgs/client/update';

/** The poster at an address. */
export function posterFrom(url: string): HTMLElement {
  const image = document.createElement('img');
  image.alt = '';
  image.decoding = 'async';
  image.src = url;
  return image;
}

/**
 * The poster that came with the scene, or null where it can't be decoded. By way of a canvas: a
 * policy on images need not know of blobs.
 */
export async function posterOf({ type, bytes }: Poster): Promise<HTMLElement | null> {
  const blob = new Blob([bytes as BlobPart], { type });
  const bitmap = await createImageBitmap(blob).catch(() => null);
  if (!bitmap) return null;
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  canvas.getContext('bitmaprenderer')?.transferFromImageBitmap(bitmap);
  return canvas;
}
