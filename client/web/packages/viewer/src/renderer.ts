// The renderer: takes transactions and cameras, draws frames on request. It owns the GPU's copy of the
// scene and one worker. Between frames, only messages of the worker are handled.

import type { Progress, SceneUpdate, View } from '@exgs/client/update';
import { ViewerError } from './errors.ts';
import { FADE_MS } from './fades.ts';
import { GroupTable } from './gl/group_table.ts';
import { Pace } from './gl/pace.ts';
import { Passes } from './gl/passes.ts';
import type { PicturePass, Target } from './gl/picture.ts';
import { Store } from './gl/store.ts';
import { Order } from './order.ts';
import { buffersOf, type Measured, type Reply, type Request } from './sort/messages.ts';
import { BLOCK_ROWS, type ShPrecision } from './splats/layout.ts';
import { Stager } from './stager.ts';

const UPLOAD_MS = 5; // of a frame

export interface RendererOptions {
  readonly shDegree: number;
  readonly antialiased: boolean;
  readonly precision: ShPrecision;
  readonly target: Target;
  readonly fadeMs?: number;
}

/** Events of a renderer. */
export interface RendererEvents {
  /** Something has changed: ask for a frame. */
  readonly needFrame: () => void;
  /** A transaction has begun to show. */
  readonly committed: (progress: Progress) => void;
  readonly failed: (error: ViewerError) => void;
}

export interface FrameReport {
  /** Whether something new is on the canvas. */
  readonly drew: boolean;
  /** Whether another frame is needed. */
  readonly again: boolean;
  /** Splats in the order of the picture that is on the canvas. */
  readonly splats: number;
}

/** Figures for a panel. */
export interface RendererStats {
  readonly splats: number; // in the order
  readonly sortMs: number; // the last sort, in the worker
  readonly sortDelayMs: number; // the last sort, from asking to its order
  readonly uploadMs: number; // the last upload of a part, on the main thread
  readonly gpuMs: number; // the last frame, as the page sees it
  readonly gpuBytes: number;
  readonly target: Target;
  readonly precision: ShPrecision;
}

export class SplatRenderer {
  readonly #gl: WebGL2RenderingContext;
  readonly #worker: Worker;
  readonly #options: RendererOptions;
  readonly #events: RendererEvents;
  readonly #passes: Passes;
  readonly #pace: Pace;
  readonly #store: Store;
  readonly #table: GroupTable;
  readonly #order: Order;
  readonly #stager: Stager;
  readonly #measuring: ((ball: Measured) => void)[] = [];
  #view: View | null = null;
  #projectionStale = true;
  #projectedRows: readonly number[] = []; // rows in use when they were last projected, by block
  #pictureStale = true;
  #undelivered = false; // a picture is drawn that is not on the canvas yet
  #drawnSplats = 0; // in the picture that was drawn last
  #shownSplats = 0; // in the one on the canvas
  #holdFor = 0; // no frame before this order: the camera has jumped
  #holding = false; // until a frame is drawn with that order
  #clockMs: number | null = null; // of the last frame, while fades go on
  #uploadMs = 0;

  constructor(
    gl: WebGL2RenderingContext,
    worker: Worker,
    options: RendererOptions,
    events: RendererEvents,
  ) {
    this.#gl = gl;
    this.#worker = worker;
    this.#options = options;
    this.#events = events;
    const { shDegree, precision, target } = options;
    this.#passes = new Passes(gl, shDegree, precision, target);
    this.#pace = new Pace(gl);
    const store = (this.#store = new Store(gl, shDegree, precision));
    const table = (this.#table = new GroupTable(gl));
    const post = (request: Request): void => worker.postMessage(request, buffersOf(request));
    const order = (this.#order = new Order(post));
    const size: number = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    this.#stager = new Stager(
      {
        post,
        upload: (spans, packed) => store.upload(spans, packed),
        readLook: (group) => table.get(group),
        writeLook: (group, look) => table.set(group, look.opacity, look.amplification, look.harmonics),
        writeKind: (group, isProxy) => table.setKind(group, isProxy),
        wantOrder: () => order.want(),
        sorted: () => order.sorted,
        committed: (progress) => {
          events.committed(progress);
          events.needFrame();
        },
        failed: events.failed,
      },
      Math.floor(size / BLOCK_ROWS),
    );
    worker.onmessage = ({ data }: MessageEvent<Reply>) => this.#receive(data);
    worker.onerror = ({ message }) => {
      const what = message || 'its script could not be loaded';
      events.failed(new ViewerError('worker', `The viewer's worker failed: ${what}`));
    };
    post({ type: 'open', shDegree, precision });
  }

  /** Whether something is still on its way to the screen. */
  get busy(): boolean {
    return this.#stager.busy || this.#order.busy || this.#stale || this.#undelivered;
  }

  /** Whether so much is on its way out that no more should come; see `Stager.isBehind`. */
  get isBehind(): boolean {
    return this.#stager.isBehind;
  }

  get stats(): RendererStats {
    return {
      splats: this.#passes.count,
      sortMs: this.#order.sortMs,
      sortDelayMs: this.#order.delayMs,
      uploadMs: this.#uploadMs,
      gpuMs: this.#pace.gpuMs,
      gpuBytes: this.#store.bytes + this.#passes.bytes,
      target: this.#passes.target,
      precision: this.#options.precision,
    };
  }

  /** Takes a transaction; the arrays in it are gone after this. */
  apply(update: SceneUpdate): void {
    this.#stager.apply(update);
    this.#order.ask(this.#view);
  }

  /**
   * Changes the camera. After a `jump` the old picture stays until the new order has arrived. More jumps
   * meanwhile do not prolong the wait, so that a path of many jumps is seen.
   */
  setView(view: View, jump: boolean): void {
    const old = this.#view;
    if (old && same(old, view)) return;
    this.#view = view;
    this.#projectionStale = true;
    if (!old || !alike(old.viewmat, view.viewmat)) {
      const serial = this.#order.want();
      if (jump && !this.#holding) this.#holdFor = serial;
      this.#holding ||= jump;
      this.#order.ask(view);
    }
    this.#events.needFrame();
  }

  /** Replaces the pass after the splats; see `PicturePass`. */
  setPass(pass: PicturePass | null): void {
    this.#passes.setPass(pass);
    this.redraw();
  }

  /** Draws the next frame even if nothing has changed. */
  redraw(): void {
    this.#pictureStale = true;
    this.#events.needFrame();
  }

  /**
   * Draws a frame if there is something new. On a slow GPU it is presented in a later call, once it is
   * done, so that the page need not wait; with `force` it is presented in this call.
   */
  frame(nowMs: number, force = false): FrameReport {
    if (this.#pace.isFull(nowMs) && !force) return this.#report(false, true);
    if (this.#undelivered && !force) return this.#deliver();
    this.#upload(UPLOAD_MS);
    const isUploading = this.#stager.uploading && this.#pace.waitsForUploads(nowMs);
    if (isUploading && !force) return this.#report(false, true);
    const elapsed = this.#clockMs === null ? 0 : nowMs - this.#clockMs;
    this.#stager.step(elapsed, this.#options.fadeMs ?? FADE_MS);
    this.#clockMs = this.#stager.fading ? nowMs : null;
    const draws = this.#stale && this.#view !== null && this.#order.sorted >= this.#holdFor;
    if (!draws) return this.#report(false, this.#goesOn);
    const waits = this.#pace.isSlow && !force;
    this.#draw();
    this.#undelivered = waits;
    if (!waits) this.#present();
    this.#pace.began(nowMs);
    return this.#report(!waits, waits || this.#goesOn);
  }

  /** Depth along z at a pixel, or null where nothing is. */
  depthAt(x: number, y: number): Promise<number | null> {
    if (!this.#view) return Promise.resolve(null);
    return this.#passes.depthAt(x, y, this.#view.width, this.#view.height);
  }

  /** A ball that holds most of what is shown; radius 0 where nothing is. */
  measure(): Promise<Pick<Measured, 'center' | 'radius'>> {
    this.#worker.postMessage({ type: 'measure' } satisfies Request);
    return new Promise((resolve) => this.#measuring.push(resolve));
  }

  /** Uploads everything that has arrived, for pages that draw no frames. */
  flush(): void {
    this.#upload(Infinity);
  }

  dispose(): void {
    this.#worker.onmessage = null;
    this.#worker.onerror = null;
    this.#worker.terminate();
    this.#pace.dispose();
    this.#passes.dispose();
    this.#store.dispose();
    this.#table.dispose();
  }

  get #goesOn(): boolean {
    return this.#stager.fading || this.#stager.uploading;
  }

  /** Puts a picture that is done on the canvas. */
  #deliver(): FrameReport {
    this.#undelivered = false;
    this.#present();
    return this.#report(true, this.#goesOn || this.#stale);
  }

  #present(): void {
    this.#passes.present(() => this.#table.hasProxies);
    this.#shownSplats = this.#drawnSplats;
  }

  #report(drew: boolean, again: boolean): FrameReport {
    return { drew, again, splats: this.#shownSplats };
  }

  get #stale(): boolean {
    return this.#projectionStale || this.#pictureStale || this.#table.changed;
  }

  #draw(): void {
    const view = this.#view!;
    const groupsChanged = this.#table.changed;
    const groups = this.#table.upload();
    if (this.#projectionStale || groupsChanged) this.#project(view, groups);
    this.#passes.draw(view.width, view.height);
    this.#drawnSplats = this.#passes.count;
    [this.#projectionStale, this.#pictureStale, this.#holding] = [false, false, false];
  }

  /** Projects all slots in use, and those of the last time: the order may name them for a while. */
  #project(view: View, groups: WebGLTexture): void {
    const { blocks } = this.#store;
    const used = (block: number): number =>
      Math.max(this.#stager.rows(block), this.#projectedRows[block] ?? 0);
    this.#passes.project(blocks, used, groups, view, this.#options.antialiased);
    this.#projectedRows = blocks.map((_, block) => this.#stager.rows(block));
    this.#store.trim((block) => this.#stager.rows(block) > 0);
    this.#passes.trim(blocks.length);
  }

  #receive(reply: Reply): void {
    if (this.#gl.isContextLost()) return;
    switch (reply.type) {
      case 'measured':
        this.#measuring.shift()?.(reply);
        return;
      case 'packed':
        this.#stager.packed(reply);
        break;
      case 'sorted':
        this.#passes.setOrder(reply.order, reply.count);
        this.#order.take(reply);
        this.#pictureStale = true;
        this.#stager.proceed();
        this.#order.ask(this.#view);
    }
    this.#events.needFrame();
  }

  /** Uploads parts for `forMs`, at least one. */
  #upload(forMs: number): void {
    const end = performance.now() + forMs;
    for (let began = performance.now(); this.#stager.uploadNext(); ) {
      this.#projectionStale = true;
      const now = performance.now();
      this.#uploadMs = now - began;
      began = now;
      if (now > end) break;
    }
    this.#stager.proceed();
    this.#order.ask(this.#view);
  }
}

function same(a: View, b: View): boolean {
  const sized = a.width === b.width && a.height === b.height;
  return sized && alike(a.viewmat, b.viewmat) && alike(a.K, b.K);
}

function alike(a: Float64Array, b: Float64Array): boolean {
  return a.every((value, i) => value === b[i]);
}
