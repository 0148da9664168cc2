// A scene inside of the page: blocks of base64 in elements of their own, read while the page is still
// coming. It is handed on as the answer of a server that knows no ranges.

const BLOCKS = 'script[type="application/x-exgs"]';

/** The whole file, as it comes. */
export function embeddedAnswer(fileBytes: number): Response {
  const body = new ReadableStream<Uint8Array>({ start: (control) => read(control) });
  return new Response(body, { status: 200, headers: { 'Content-Length': `${fileBytes}` } });
}

/** Address of the scene in the page, for what wants one. */
export function embeddedUrl(): string {
  return location.href.replace(/#.*/, '');
}

function read(control: ReadableStreamDefaultController<Uint8Array>): void {
  const take = (isWhole: boolean): void => {
    const found = [...document.querySelectorAll(BLOCKS)];
    if (!isWhole) found.pop(); // may still be coming
    for (const element of found) {
      control.enqueue(decode(element.textContent ?? ''));
      element.remove(); // its text is not needed any more
    }
  };
  if (document.readyState !== 'loading') {
    take(true);
    control.close();
    return;
  }
  const observer = new MutationObserver(() => take(false));
  observer.observe(document.body ?? document.documentElement, { childList: true, subtree: true });
  document.addEventListener('DOMContentLoaded', () => {
    observer.disconnect();
    take(true);
    control.close();
  });
  take(false);
}

function decode(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
