// The page's side: openScene starts a worker for one scene and turns its reports into events.

import type { Budget } from './flow/residency.ts';
import type { ReadRange } from './net/local.ts';
import type { Poster, SceneFacts, SceneUpdate, View } from './update.ts';
import type { Report, Request, SentError, WorkerSource } from './worker/messages.ts';

/** Where a scene comes from. */
export type SceneSource = string | URL | Blob | Uint8Array | ReadRange;

/** Options of `openScene`. */
export interface OpenOptions {
  /**
   * `static`: byte ranges of the file over HTTP; `streaming`: a WebSocket of an exgs server; `auto`
   * (the default): streaming for `ws:` URLs and those that end in `/stream`, else static.
   */
  readonly transport?: 'auto' | 'static' | 'streaming';
  /** Access token of the server. */
  readonly token?: string;
  /** Whether parts are kept on disk, by scene hash, for the next visit; true by default. */
  readonly cache?: boolean;
  /** What may be held at a time; what the view shows least goes back to proxies. */
  readonly budget?: Partial<Budget>;
  /** Bytes per second to let through, to try a slow link. */
  readonly rate?: number;
  /** An answer to a request for the first `FRONT_BYTES` bytes that was made before this code ran. */
  readonly first?: Promise<Response>;
  /** The camera to begin with: what it sees comes first. */
  readonly view?: View;
  /** Starts the worker; by default `worker.js` beside this module. */
  readonly worker?: () => Worker;
}

/** Events of a scene, by name. */
export interface SceneEvents {
  /** The facts are here; once more after `changed`. */
  open: CustomEvent<SceneFacts>;
  poster: CustomEvent<Poster>;
  /** A transaction: apply all of it, then draw. */
  update: CustomEvent<SceneUpdate>;
  /** Everything that the current view shows has arrived. */
  ready: CustomEvent<null>;
  /** Everything has arrived that the budget allows. */
  complete: CustomEvent<null>;
  /** The scene has failed: nothing more will arrive. */
  error: CustomEvent<SceneError>;
  /** The connection is lost; another attempt follows. */
  reconnecting: CustomEvent<{ waitS: number; reason: string }>;
  /** A part failed its checks and is requested again. */
  damaged: CustomEvent<{ section: string }>;
  /** The scene on the server is another one: its parts are dropped, the new one follows. */
  changed: CustomEvent<null>;
}

/** An error that ends a scene. */
export class SceneError extends Error {
  override name = 'SceneError';
  /** `truncated`, `damaged`, `unsupported` or `limit` where the file is at fault, else null. */
  readonly errorClass: string | null;
  /** HTTP status where that is the reason, else 0. */
  readonly status: number;

  constructor(error: SentError) {
    super(error.message);
    this.errorClass = error.errorClass;
    this.status = error.status;
  }
}

/** The budget where no other is given. */
export const DEFAULT_BUDGET: Budget = { splats: 4_000_000, bytes: 1 << 30 };

/** A scene that grows; made by `openScene`. */
export class Scene extends EventTarget {
  /** The facts, null until `open`. */
  facts: SceneFacts | null = null;
  /** The poster, null until `poster`. */
  poster: Poster | null = null;

  private readonly worker: Worker;
  private readonly read: ReadRange | null;
  private budget: Budget;
  private wasReady = false;
  private wasComplete = false;
  private isPaused = false;
  private unacknowledged = 0; // updates that came while paused
  private readonly online = (): void => this.send({ type: 'online' });

  constructor(source: SceneSource, options: OpenOptions = {}) {
    super();
    this.budget = { ...DEFAULT_BUDGET, ...options.budget };
    this.read = typeof source === 'function' ? source : null;
    this.worker = (options.worker ?? startWorker)();
    this.worker.onmessage = ({ data }: MessageEvent<Report>) => this.receive(data);
    this.worker.onerror = (event) => {
      const message = event.message || 'the worker could not be started';
      this.receive({ type: 'error', error: { name: 'Error', message, errorClass: null, status: 0 } });
    };
    const { first } = options;
    const sent = sourceOf(source, options.transport ?? 'auto');
    this.send({
      type: 'open',
      source: sent,
      token: options.token ?? null,
      cacheKey: options.cache === false || !('url' in sent) ? null : sent.url,
      budget: this.budget,
      rate: options.rate ?? Infinity,
      hasFirst: first !== undefined,
      view: options.view ?? null,
    });
    if (first) void this.handOn(first);
    globalThis.addEventListener?.('online', this.online);
  }

  /** Looks from here: what this view shows comes first. Cheap; call it whenever the camera moves. */
  look(view: View): void {
    this.send({ type: 'look', view });
  }

  /** Changes what may be held at a time. */
  setBudget(budget: Partial<Budget>): void {
    this.budget = { ...this.budget, ...budget };
    this.send({ type: 'budget', budget: this.budget });
  }

  /** Changes the rate of a simulated slow link, bytes per second. */
  setRate(rate: number): void {
    this.send({ type: 'rate', rate });
  }

  /**
   * Holds updates back until `resume`, for a renderer that does not keep up. Two more may arrive; all
   * later ones are joined into one, without splats that are added and dropped meanwhile.
   */
  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    for (; this.unacknowledged > 0; this.unacknowledged--) this.send({ type: 'taken' });
  }

  /** Ends the worker and all connections; no event comes after it. */
  dispose(): void {
    globalThis.removeEventListener?.('online', this.online);
    this.worker.onmessage = this.worker.onerror = null;
    this.send({ type: 'dispose' });
    // The worker ends by itself, once it has closed its cache; this is for one that hangs.
    setTimeout(() => this.worker.terminate(), 1000);
  }

  override addEventListener<Name extends keyof SceneEvents>(
    name: Name,
    listener: (event: SceneEvents[Name]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    name: string,
    listener: EventListenerOrEventListenerObject | null | ((event: never) => void),
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(name, listener as EventListener, options);
  }

  private send(request: Request, transfer: Transferable[] = []): void {
    this.worker.postMessage(request, transfer);
  }

  private receive(report: Report): void {
    switch (report.type) {
      case 'open':
        this.facts = report.facts;
        this.emit('open', report.facts);
        break;
      case 'poster':
        this.poster = report.poster;
        this.emit('poster', report.poster);
        break;
      case 'update':
        this.emit('update', report.update);
        if (this.isPaused) this.unacknowledged++;
        else this.send({ type: 'taken' });
        this.tell(report.update);
        break;
      case 'error':
        this.emit('error', new SceneError(report.error));
        break;
      case 'reconnecting':
        this.emit('reconnecting', { waitS: report.waitS, reason: report.reason });
        break;
      case 'damaged':
        this.emit('damaged', { section: report.section });
        break;
      case 'changed':
        this.wasReady = this.wasComplete = false;
        this.emit('changed', null);
        break;
      case 'read':
        void this.serve(report.id, report.offset, report.length);
        break;
    }
  }

  private tell({ progress }: SceneUpdate): void {
    if (progress.readyForView && !this.wasReady) this.emit('ready', null);
    if (progress.complete && !this.wasComplete) this.emit('complete', null);
    this.wasReady = progress.readyForView;
    this.wasComplete = progress.complete;
  }

  private emit<Name extends keyof SceneEvents>(name: Name, detail: SceneEvents[Name]['detail']): void {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  private async serve(id: number, offset: number, length: number): Promise<void> {
    try {
      const data = await this.read!(offset, length);
      this.send({ type: 'range', id, data, error: '' });
    } catch (error) {
      this.send({ type: 'range', id, data: null, error: String(error) });
    }
  }

  /** Passes the response to a request of the page to the worker as it arrives. */
  private async handOn(first: Promise<Response>): Promise<void> {
    try {
      const response = await first;
      const headers = Object.fromEntries(response.headers);
      this.send({ type: 'first', status: response.status, headers });
      const reader = response.body?.getReader();
      for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
        this.send({ type: 'firstData', data: part.value });
      }
      this.send({ type: 'firstEnd', failed: false });
    } catch {
      this.send({ type: 'firstEnd', failed: true });
    }
  }
}

/**
 * Opens a scene: a URL of an .exgs file or of a stream, a File or Blob, bytes, or a function that
 * reads `(offset, length)`. It starts at once; listen for its events in the same task.
 */
export function openScene(source: SceneSource, options: OpenOptions = {}): Scene {
  return new Scene(source, options);
}

function startWorker(): Worker {
  return new Worker(new URL('./worker/entry.ts', import.meta.url), { type: 'module', name: 'exgs' });
}

function sourceOf(source: SceneSource, transport: 'auto' | 'static' | 'streaming'): WorkerSource {
  if (source instanceof Blob) return { kind: 'blob', blob: source };
  if (source instanceof Uint8Array) return { kind: 'bytes', bytes: source };
  if (typeof source === 'function') return { kind: 'asked' };
  const url = new URL(source, globalThis.location?.href);
  const found = /^(.*\/)([^/]+?)(?:\.[0-9a-f]{32})?(\.exgs|\/stream)$/.exec(url.pathname);
  const isStream = url.protocol.startsWith('ws') || found?.[3] === '/stream';
  if (transport === 'streaming' || (transport === 'auto' && isStream)) {
    if (!found) throw new TypeError(`${url.href} names no scene to stream`);
    const [, folder, name] = found as unknown as [string, string, string];
    const fileUrl = atPath(url, 'http', `${folder}${name}.exgs`);
    const streamUrl = atPath(url, 'ws', `${folder}${name}/stream`);
    return {
      kind: 'stream',
      url: streamUrl,
      scene: decodeURIComponent(name),
      fileUrl,
      mayFallBack: transport === 'auto',
      sendsIfMatch: isSameOrigin(fileUrl),
    };
  }
  const href = isStream && found ? atPath(url, 'http', `${found[1]}${found[2]}.exgs`) : url.href;
  return { kind: 'http', url: href, sendsIfMatch: isSameOrigin(href) };
}

function isSameOrigin(href: string): boolean {
  return new URL(href).origin === globalThis.location?.origin;
}

function atPath(url: URL, protocol: 'http' | 'ws', path: string): string {
  const other = new URL(url);
  other.protocol = protocol + (/s:$/.test(url.protocol) && url.protocol !== 'ws:' ? 's:' : ':');
  other.pathname = path;
  return other.href;
}
