// A short message at the bottom, which screen readers announce.

import { make } from './dom.ts';
import { adoptStyles } from './styles.ts';

const SHOWN_MS = 5000;

let line: HTMLElement | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Shows a message for a while. */
export function toast(text: string): void {
  adoptStyles();
  if (!line) {
    line = make('p', { className: 'toast' });
    line.setAttribute('role', 'status');
    document.body.append(line);
  }
  line.textContent = text;
  clearTimeout(timer);
  timer = setTimeout(() => line!.replaceChildren(), SHOWN_MS);
}
