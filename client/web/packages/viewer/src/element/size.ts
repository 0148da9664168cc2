// The size of the picture in device pixels: of the element's box, with a cap on the pixel ratio.

/** More device pixels than this to a CSS pixel cost time and show little. */
export const RATIO_MOST = 2;

/** Device pixels of a box of CSS pixels. */
export function pixelsOf(cssWidth: number, cssHeight: number, ratio: number): [number, number] {
  const held = Math.min(RATIO_MOST, Math.max(0.5, ratio));
  const side = (css: number): number => Math.max(1, Math.round(css * held));
  return [side(cssWidth), side(cssHeight)];
}

/** Calls `changed` with the size of `element` now and whenever it or the pixel ratio changes. */
export function watchSize(
  element: Element,
  changed: (width: number, height: number, ratio: number) => void,
  signal: AbortSignal,
): void {
  const tell = (): void => {
    const { width, height } = element.getBoundingClientRect();
    if (width === 0 || height === 0) return;
    const [w, h] = pixelsOf(width, height, devicePixelRatio);
    changed(w, h, w / width);
  };
  const observer = new ResizeObserver(tell);
  observer.observe(element);
  const watchRatio = (): void => {
    if (signal.aborted) return;
    const media = matchMedia(`(resolution: ${devicePixelRatio}dppx)`);
    const listener = (): void => {
      tell();
      watchRatio();
    };
    media.addEventListener('change', listener, { once: true, signal });
  };
  watchRatio();
  signal.addEventListener('abort', () => observer.disconnect());
}
