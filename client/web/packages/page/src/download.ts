// Files for the person.

import { make } from './dom.ts';

/** Has the browser save something under a name. */
export function download(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  make('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
