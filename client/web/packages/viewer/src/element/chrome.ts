// What lies in the shadow root: the picture, the poster over it, buttons, credit, messages and help.
// It is built node by node: no markup is parsed, so strict policies hold.

import type { Mode } from '../camera/moves.ts';
import { HELP, type Command } from './keys.ts';
import { styles } from './styles.ts';

const MODES: readonly (readonly [Mode, string, string])[] = [
  ['orbit', 'Orbit', 'Orbit about the focus (1)'],
  ['fly', 'Fly', 'Fly freely (2)'],
  ['walk', 'Walk', 'Walk on level ground (3)'],
];

const ACTIONS: readonly (readonly [Command, string, string])[] = [
  ['frame', '⛶', 'Show the whole scene (F)'],
  ['reset', '⌂', 'Back to the start (R)'],
  ['help', '?', 'Help (H)'],
];

export class Chrome {
  readonly stage: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly #bar: HTMLElement;
  readonly #credit = make('p', 'credit');
  readonly #status = make('p', 'status');
  readonly #progress = make('div', 'progress');
  readonly #help: HTMLElement;
  readonly #modes = new Map<Mode, HTMLButtonElement>();
  #poster: HTMLElement | null = null;

  constructor(root: ShadowRoot, command: (command: Command) => void) {
    root.adoptedStyleSheets = [styles()];
    this.canvas = make('canvas', 'picture');
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute('role', 'application');
    this.canvas.setAttribute('aria-roledescription', '3D viewer');
    this.setLabel('');
    this.#status.setAttribute('role', 'status');
    this.#progress.setAttribute('role', 'progressbar');
    this.#progress.setAttribute('aria-label', 'Loading');
    this.#progress.hidden = true;
    this.#bar = this.#makeBar(command);
    this.#help = makeHelp(() => this.toggleHelp(false));
    this.stage = make('div', 'stage');
    this.stage.append(this.canvas, this.#progress, this.#credit, this.#bar, this.#status, this.#help);
    for (const item of [this.#bar, this.#credit, this.#status, this.#help, this.canvas]) {
      item.setAttribute('part', item.className);
    }
    root.append(this.stage);
  }

  /** The name of the scene, for screen readers. */
  setLabel(name: string): void {
    const what = name ? `3D scene: ${name}` : '3D scene';
    this.canvas.setAttribute('aria-label', `${what}. Drag or use the arrow keys to look around, H for help.`);
  }

  setCredit(credit: string, license: string): void {
    this.#credit.textContent = [credit, license].filter(Boolean).join(' · ');
  }

  /** Says something; an empty text takes it away. */
  say(text: string): void {
    if (this.#status.textContent !== text) this.#status.textContent = text;
  }

  /** `share` of what is to come is here; null: nothing is loading. */
  setProgress(share: number | null): void {
    const done = share === null || share >= 1;
    this.#progress.classList.toggle('done', done);
    this.#progress.hidden = share === null;
    if (share === null) return;
    this.#progress.style.transform = `scaleX(${share})`;
    this.#progress.setAttribute('aria-valuenow', `${Math.round(100 * share)}`);
  }

  setMode(mode: Mode): void {
    for (const [name, button] of this.#modes) button.setAttribute('aria-pressed', `${name === mode}`);
  }

  /** Without buttons and progress; credit, messages and help stay. */
  setPlain(plain: boolean): void {
    this.#bar.hidden = plain;
    this.#progress.style.display = plain ? 'none' : '';
  }

  /** Shows a picture over the canvas, or takes it away. */
  setPoster(poster: HTMLElement | null): void {
    this.#poster?.remove();
    this.#poster = poster;
    if (!poster) return;
    poster.classList.add('poster');
    poster.setAttribute('aria-hidden', 'true');
    this.canvas.after(poster);
  }

  get hasPoster(): boolean {
    return this.#poster !== null;
  }

  /** Lets the poster fade into what is drawn behind it. */
  fadePoster(): void {
    const poster = this.#poster;
    if (!poster) return;
    this.#poster = null;
    poster.addEventListener('transitionend', () => poster.remove());
    poster.classList.add('gone');
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) poster.remove();
  }

  get helpOpen(): boolean {
    return !this.#help.hidden;
  }

  toggleHelp(open = !this.helpOpen): void {
    if (open === this.helpOpen) return;
    this.#help.hidden = !open;
    if (open) this.#help.querySelector('button')?.focus();
    else this.canvas.focus();
  }

  /** Shows where the focus was set. */
  markFocus(x: number, y: number): void {
    const mark = make('div', 'focus');
    mark.style.left = `${x}px`;
    mark.style.top = `${y}px`;
    mark.addEventListener('animationend', () => mark.remove());
    this.stage.append(mark);
  }

  #makeBar(command: (command: Command) => void): HTMLElement {
    const bar = make('div', 'bar');
    bar.setAttribute('role', 'toolbar');
    bar.setAttribute('aria-label', 'Camera');
    const button = (name: Command, text: string, label: string): HTMLButtonElement => {
      const item = make('button', '');
      item.type = 'button';
      item.textContent = text;
      item.title = label;
      item.setAttribute('aria-label', label);
      item.addEventListener('click', () => command(name));
      bar.append(item);
      return item;
    };
    for (const [mode, text, label] of MODES) this.#modes.set(mode, button(mode, text, label));
    for (const [name, text, label] of ACTIONS) button(name, text, label);
    return bar;
  }
}

function makeHelp(close: () => void): HTMLElement {
  const help = make('div', 'help');
  help.hidden = true;
  help.setAttribute('role', 'dialog');
  help.setAttribute('aria-label', 'Help');
  const title = make('h2', '');
  title.textContent = 'How to move';
  const table = make('table', '');
  for (const [keys, effect] of HELP) {
    const row = table.insertRow();
    const head = make('th', '');
    head.scope = 'row';
    head.textContent = keys;
    row.append(head);
    row.insertCell().textContent = effect;
  }
  const button = make('button', '');
  button.type = 'button';
  button.textContent = 'Close';
  button.addEventListener('click', close);
  help.append(title, table, button);
  return help;
}

function make<T extends keyof HTMLElementTagNameMap>(tag: T, name: string): HTMLElementTagNameMap[T] {
  const element = document.createElement(tag);
  if (name) element.className = name;
  return element;
}
