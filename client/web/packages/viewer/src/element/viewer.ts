// <exgs-viewer>: attributes, methods and events, all listed in the README, and the lifetime of its parts.

import type { Poster, SceneFacts, View, Progress } from '@exgs/client/update';
import type { Mode } from '../camera/moves.ts';
import { formatPose, type Pose } from '../camera/pose.ts';
import type { Gesture, Point } from '../camera/gestures.ts';
import { ViewerError } from '../errors.ts';
import { openContext } from '../gl/context.ts';
import type { PicturePass } from '../gl/picture.ts';
import type { OpenOptions } from '@exgs/client';
import type { Opener, SceneSource } from '../source.ts';
import { Attributes, OBSERVED } from './attributes.ts';
import { Chrome } from './chrome.ts';
import { control } from './controls.ts';
import type { Command } from './keys.ts';
import { Loop } from './loop.ts';
import { Session } from './session.ts';
import { posterFrom, posterOf } from './poster.ts';
import { watchSize } from './size.ts';
import { snapshotOf } from './snapshot.ts';
import { poseOf, type LookAt, type ViewerEvents, type ViewerStats } from './types.ts';
import { budgetOf, isPhone } from './start.ts';
import { watchVisibility } from './visibility.ts';

let opener: Opener | null = null;

/** Sets how an address or a file becomes a scene; `@exgs/viewer/define` sets @exgs/client's. */
export function setOpener(open: Opener): void {
  opener = open;
}

export class ExgsViewer extends HTMLElement {
  static readonly observedAttributes = OBSERVED;

  /** For scenes that ask for one; never an attribute, so that it stays out of the page's markup. */
  token: string | undefined;
  readonly #attributes = new Attributes(this);
  readonly #chrome: Chrome;
  readonly #loop = new Loop((now, force) => this.#session?.tick(now, force) ?? { drew: false, again: false });
  #life: AbortController | null = null; // while in a document
  #gl: WebGL2RenderingContext | null = null;
  #session: Session | null = null;
  #from: string | Blob | SceneSource | null = null;
  #options: OpenOptions = {};
  #pass: PicturePass | null = null;
  #kept: Pose | null = null; // over the loss of the context
  #disposed = false;

  constructor() {
    super();
    this.#chrome = new Chrome(this.attachShadow({ mode: 'open' }), (command) => this.#command(command));
    this.#chrome.setMode('orbit');
  }

  // Attributes

  get src(): string {
    return this.#attributes.src;
  }
  set src(value: string) {
    this.setAttribute('src', value);
  }

  connectedCallback(): void {
    if (this.#life || this.#disposed) return;
    this.#life = new AbortController();
    const { signal } = this.#life;
    const { canvas, stage } = this.#chrome;
    control(
      canvas,
      stage,
      {
        gesture: (gesture) => this.#gesture(gesture),
        drive: (drive) => this.#move((rig) => rig.setDrive(drive, performance.now())),
        command: (command) => this.#command(command),
        escape: () => this.#chrome.toggleHelp(false),
      },
      signal,
    );
    canvas.addEventListener('webglcontextlost', (event) => this.#lost(event), { signal });
    canvas.addEventListener('webglcontextrestored', () => this.#restored(), { signal });
    watchSize(this, (width, height, ratio) => this.#resize(width, height, ratio), signal);
    watchVisibility(this, (reason, on) => this.#loop.pause(reason, on), signal);
    const calm = matchMedia('(prefers-reduced-motion: reduce)');
    calm.addEventListener('change', () => this.#move((rig) => (rig.calm = calm.matches)), { signal });
    this.#loop.pause('off', false);
    if (!this.#session && this.src) this.load(this.src);
  }

  /** Taken out of the document for good, and not just moved, it lets everything go. */
  disconnectedCallback(): void {
    queueMicrotask(() => {
      if (this.isConnected || !this.#life) return;
      this.#release();
      this.#life.abort();
      this.#life = null;
    });
  }

  attributeChangedCallback(name: string, _old: string | null, value: string | null): void {
    if (name === 'noui') this.#chrome.setPlain(value !== null);
    if (name === 'poster') this.#setPosterUrl(value);
    if (name === 'budget') this.#session?.setBudget(budgetOf(this.#attributes.splats, isPhone()));
    if (name === 'rate') this.#session?.source.setRate?.(this.#attributes.rate ?? Infinity);
    if (name === 'camera' && value !== null && this.#session?.facts) this.look(value);
    if (name === 'src' && this.#life) {
      if (value) this.load(value);
      else this.#release();
    }
  }

  // Methods

  /**
   * Shows another scene: an address, a file, or a source of one's own. `options` go to @exgs/client's
   * `openScene` and win over the attributes.
   */
  load(from: string | Blob | SceneSource, options: OpenOptions = {}): void {
    if (this.#disposed) return;
    this.#release();
    this.#from = from;
    this.#options = options;
    this.#chrome.say('');
    this.#chrome.setCredit('', '');
    if (!this.#chrome.hasPoster) this.#setPosterUrl(this.#attributes.poster);
    try {
      this.#gl ??= openContext(this.#chrome.canvas);
      this.#session = this.#start(this.#gl, from, options);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /**
   * Looks from somewhere else: text as in the `camera` attribute, or a place and a direction.
   * Throws ViewerError for text that is no camera; does nothing before the event `open`.
   */
  look(camera: string | LookAt, options: { readonly fly?: boolean } = {}): void {
    const rig = this.#session?.rig;
    if (!rig) return;
    const pose = poseOf(camera, rig.world, rig.pose);
    if (!pose) throw new ViewerError('argument', `"${String(camera)}" is not a camera.`);
    this.#session?.look(pose, options.fly ?? false);
    this.#loop.request();
  }

  /** The picture as it is now. Rejects with ViewerError where there is none. */
  snapshot(type = 'image/png', quality?: number): Promise<Blob> {
    return snapshotOf(() => this.#session?.renderer ?? null, this.#chrome.canvas, type, quality);
  }

  /** Gives the picture the keyboard. */
  override focus(options?: FocusOptions): void {
    this.#chrome.canvas.focus(options);
  }

  /** Lets everything go: network, workers, textures, listeners. The element shows nothing after this. */
  dispose(): void {
    this.#disposed = true;
    this.#release();
    this.#life?.abort();
    this.#life = null;
    this.#gl?.getExtension('WEBGL_lose_context')?.loseContext();
    this.#gl = null;
  }

  /** Replaces the pass after the splats; null restores the one that is built in. See `PicturePass`. */
  setPass(pass: PicturePass | null): void {
    this.#pass = pass;
    this.#session?.setPass(pass);
  }

  /** Draws once more, for a pass that has something new to show. */
  redraw(): void {
    this.#session?.renderer?.redraw();
  }

  // State

  /** The camera as text, for the attribute and for links; empty before the event `open`. */
  get camera(): string {
    const pose = this.#session?.rig?.pose;
    return pose ? formatPose(pose) : '';
  }
  set camera(camera: string) {
    this.look(camera);
  }

  /** What is drawn: matrices and size in device pixels. */
  get view(): View | null {
    return this.#session?.view ?? null;
  }

  get facts(): SceneFacts | null {
    return this.#session?.facts ?? null;
  }

  get source(): SceneSource | null {
    return this.#session?.source ?? null;
  }

  get mode(): Mode {
    return this.#session?.rig?.mode ?? 'orbit';
  }
  set mode(mode: Mode) {
    this.#move((rig) => rig.setMode(mode));
    this.#chrome.setMode(this.mode);
  }

  get stats(): ViewerStats | null {
    const session = this.#session;
    if (!session?.renderer) return null;
    const { width, height } = this.#chrome.canvas;
    const { frameMs } = this.#loop;
    return { ...session.renderer.stats, frameMs, progress: session.progress, width, height };
  }

  // Parts at work

  #start(
    gl: WebGL2RenderingContext,
    from: string | Blob | SceneSource,
    options: OpenOptions,
  ): Session {
    const phone = isPhone();
    const budget = budgetOf(this.#attributes.splats, phone);
    const isPlace = typeof from === 'string' || from instanceof Blob;
    const source = isPlace ? this.#open(from, { budget, ...options }) : from;
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const kept = this.#kept;
    this.#kept = null;
    const begin = (facts: SceneFacts): Pose | null => kept ?? this.#attributes.pose(facts);
    const { target } = this.#attributes;
    const session = new Session(gl, source, { budget, phone, target, calm, begin }, {
      needFrame: () => this.#needFrame(),
      opened: (facts) => this.#opened(facts),
      poster: (poster) => void this.#setPosterBytes(poster),
      progress: (progress) => this.#progress(progress),
      firstPicture: () => {
        this.#chrome.fadePoster();
        this.#emit('firstpicture', null);
      },
      ready: () => this.#emit('ready', null),
      complete: () => this.#emit('complete', null),
      moved: (view) => this.#emit('camera', { camera: this.camera, view, mode: this.mode }),
      notice: (text) => this.#chrome.say(text),
      failed: (error) => this.#fail(error),
    });
    const { canvas } = this.#chrome;
    const { width } = this.getBoundingClientRect();
    session.resize(canvas.width, canvas.height, width > 0 ? canvas.width / width : 1);
    return session;
  }

  #open(from: string | Blob, rest: OpenOptions): SceneSource {
    if (!opener) throw new ViewerError('argument', 'No client is set: import @exgs/viewer/define.');
    const address = typeof from === 'string' ? new URL(from, document.baseURI).href : from;
    return opener(address, {
      ...this.#attributes.openOptions,
      ...(this.token !== undefined && { token: this.token }),
      ...rest,
    });
  }

  #opened(facts: SceneFacts): void {
    this.#session?.setPass(this.#pass);
    this.#chrome.setLabel(facts.name);
    this.#chrome.setCredit(facts.credit, facts.license);
    this.#chrome.setMode(this.mode);
    this.#chrome.setProgress(0);
    this.#emit('open', facts);
  }

  #progress(progress: Progress): void {
    const share = progress.complete ? 1 : progress.receivedBytes / Math.max(1, progress.fileBytes);
    this.#chrome.setProgress(Math.min(1, share));
    this.#chrome.say('');
    this.#emit('progress', progress);
  }

  #needFrame(): void {
    if (this.#loop.paused) this.#session?.flush();
    this.#loop.request();
  }

  #resize(width: number, height: number, ratio: number): void {
    const { canvas } = this.#chrome;
    if (canvas.width === width && canvas.height === height) return;
    [canvas.width, canvas.height] = [width, height];
    this.#session?.resize(width, height, ratio);
    this.#loop.now(); // or the emptied canvas would be seen
  }

  #gesture(gesture: Gesture): void {
    if (gesture.type === 'click' || gesture.type === 'double') {
      void this.#focus(gesture.at, gesture.type === 'double');
      return;
    }
    this.#move((rig) => rig.apply(gesture));
  }

  async #focus({ x, y }: Point, fly: boolean): Promise<void> {
    if (await this.#session?.focus(x, y, fly)) this.#chrome.markFocus(x, y);
  }

  #move(change: (rig: NonNullable<Session['rig']>) => void): void {
    const session = this.#session;
    if (!session?.rig) return;
    change(session.rig);
    session.touch();
    this.#loop.request();
  }

  #command(command: Command): void {
    if (command === 'help') this.#chrome.toggleHelp();
    else if (command === 'panel') this.#emit('panel', null);
    else if (command === 'reset') this.#session?.reset();
    else if (command === 'frame') void this.#session?.frame();
    else this.mode = command;
  }

  #lost(event: Event): void {
    event.preventDefault(); // so that it may come back
    this.#kept = this.#session?.rig?.pose ?? null;
    this.#session?.dispose();
    this.#session = null;
    if (!this.#disposed) this.#chrome.say('The graphics device was reset. Waiting for it …');
  }

  /** The GPU's memory is lost: the scene is opened again, from the client's cache if there is one. */
  #restored(): void {
    const from = this.#from;
    if (this.#disposed || !from) return;
    const { first: _, ...options } = this.#options; // an answer is read but once
    if (typeof from === 'string' || from instanceof Blob) this.load(from, options);
    else this.#fail(new ViewerError('webgl', 'The graphics device was reset. Load the scene again.'));
  }

  #fail(error: Error): void {
    this.#chrome.say(error.message);
    this.#emit('error', error);
  }

  #release(): void {
    this.#kept = this.#session ? null : this.#kept;
    this.#session?.dispose();
    this.#session = null;
    this.#chrome.setPoster(null);
    this.#chrome.setProgress(null);
    if (this.#gl && !this.#gl.isContextLost()) {
      this.#gl.clearColor(0, 0, 0, 1);
      this.#gl.clear(this.#gl.COLOR_BUFFER_BIT);
    }
  }

  #setPosterUrl(url: string | null): void {
    if (url && !this.#session?.renderer) this.#chrome.setPoster(posterFrom(url));
  }

  async #setPosterBytes(poster: Poster): Promise<void> {
    const session = this.#session;
    if (this.#chrome.hasPoster) return;
    const picture = await posterOf(poster);
    if (picture && this.#session === session && !session?.progress?.splats) this.#chrome.setPoster(picture);
  }

  #emit<T extends keyof ViewerEvents>(type: T, detail: ViewerEvents[T]): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
