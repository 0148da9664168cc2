// The contents of the shadow root: the picture, the poster over it, buttons, credit, messages and help.
// It is built node by node: no markup is parsed, so strict policies hold.

import type { Mode } from '../camera/moves.ts';
import { HELP_HANDS, HELP_KEYS, type Command } from './keys.ts';
import { styles } from './styles.ts';

const MODES: readonly (readonly [Mode, string, string])[] = [
  ['orbit', 'Orbit', 'Orbit about the focus (1)'],
  ['fly', 'Fly', 'Fly freely (2)'],
  ['walk', 'Walk', 'Walk on level ground (3)'],
];

// Outlines of 24 x 24
const ACTIONS: readonly (readonly [Command, string, string])[] = [
  ['frame', 'M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5M9 12h6M12 9v6', 'Show the whole scene (F)'],
  ['reset', 'M4 11l8-7 8 7M6 10v10h12V10', 'Back to the start (R)'],
  ['help', 'M8.5 9a3.5 3.5 0 1 1 5 3.2c-1 .5-1.5 1.2-1.5 2.3M12 18v.5', 'Help (H)'],
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

  /** Shows a message; an empty text removes it. */
  say(text: string): void {
    if (this.#status.textContent !== text) this.#status.textContent = text;
  }

  /** The share of the scene that has arrived; null: nothing is loading. */
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
    const button = (name: Command, face: string | Node, label: string): HTMLButtonElement => {
      const item = make('button', '');
      item.type = 'button';
      item.append(face);
      item.title = label;
      item.setAttribute('aria-label', label);
      item.addEventListener('click', () => command(name));
      bar.append(item);
      return item;
    };
    for (const [mode, text, label] of MODES) this.#modes.set(mode, button(mode, text, label));
    for (const [name, outline, label] of ACTIONS) button(name, icon(outline), label);
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
  for (const [name, rows] of [['hands', HELP_HANDS], ['keys', HELP_KEYS]] as const) {
    const body = table.createTBody();
    body.className = name;
    for (const [action, effect] of rows) {
      const row = body.insertRow();
      const head = make('th', '');
      head.scope = 'row';
      head.textContent = action;
      row.append(head);
      row.insertCell().textContent = effect;
    }
  }
  const button = make('button', '');
  button.type = 'button';
  button.textContent = 'Close';
  button.addEventListener('click', close);
  help.append(button, title, table);
  return help;
}

function icon(outline: string): SVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', outline);
  svg.append(path);
  return svg;
}

function make<T extends keyof HTMLElementTagNameMap>(tag: T, name: string): HTMLElementTagNameMap[T] {
  const element = document.createElement(tag);
  if (name) element.className = name;
  return element;
}
