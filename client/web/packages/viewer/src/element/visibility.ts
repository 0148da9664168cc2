// When the element is not seen: its page is hidden, or it is scrolled off the screen.

/** Calls `pause` with whether each reason not to draw holds, now and whenever that changes. */
export function watchVisibility(
  element: Element,
  pause: (reason: 'hidden' | 'offScreen', on: boolean) => void,
  signal: AbortSignal,
): void {
  const hidden = (): void => pause('hidden', document.visibilityState === 'hidden');
  document.addEventListener('visibilitychange', hidden, { signal });
  hidden();
  const observer = new IntersectionObserver((entries) => {
    pause('offScreen', !entries[entries.length - 1]!.isIntersecting);
  });
  observer.observe(element);
  signal.addEventListener('abort', () => observer.disconnect());
}
