// Dialogs: something to read, or a token to type.

import { make } from './dom.ts';
import { adoptStyles } from './styles.ts';

/** Shows a message until it is closed; `code` is set apart, to be copied. */
export function say(title: string, text: string, code = ''): void {
  const close = make('button', { type: 'submit' }, 'Close');
  const parts: Node[] = [make('p', {}, text)];
  if (code) parts.push(make('pre', { tabIndex: 0 }, code));
  open(title, parts, [close]);
}

/** Asks for a token; null where the person does not give one. */
export function askForToken(isWrong: boolean): Promise<string | null> {
  const input = make('input', { type: 'password', name: 'token', autocomplete: 'off', required: true });
  const text = isWrong ? 'The server does not know this token. Try another one.' : 'This server asks for a token.';
  const label = make('label', {}, text, input);
  const dialog = open('Token', [label], [make('button', { type: 'submit' }, 'Open')]);
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(input.value.trim() || null));
  });
}

function open(title: string, parts: readonly Node[], buttons: readonly HTMLButtonElement[]): HTMLDialogElement {
  adoptStyles();
  const heading = make('h2', {}, title);
  const form = make('form', { method: 'dialog' }, heading, ...parts, make('menu', {}, ...buttons));
  const dialog = make('dialog', { aria: { label: title } }, form);
  // Closed by script: a policy that lets no form be sent would have the browser complain.
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    dialog.close();
  });
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
