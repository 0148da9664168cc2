// One scene in one viewer, from opening to disposing: source, worker, renderer and camera.

import type { Poster, Progress, SceneFacts, SceneUpdate, View } from '@exgs/client/update';
import { approach, frame } from '../camera/moves.ts';
import { FOV_Y, isFar, pointAt, poseAt, refocused, viewOf, worldOf, type Pose } from '../camera/pose.ts';
import { Rig } from '../camera/rig.ts';
import { samePose } from '../camera/time.ts';
import { distance, type Vec3 } from '../camera/vec.ts';
import type { ViewerError } from '../errors.ts';
import type { PicturePass } from '../gl/picture.ts';
import { SplatRenderer } from '../renderer.ts';
import { createWorker } from '../sort/create.ts';
import { listen, type Budget, type SceneSource } from '../source.ts';
import type { Tick } from './loop.ts';
import { Milestones, type Milestone } from './milestones.ts';
import { overview, precisionFor, startOf } from './start.ts';

const LOOK_EVERY_MS = 100; // least time between two cameras that the client gets

/** Events of a session, for the element. */
export interface SessionEvents {
  readonly needFrame: () => void;
  readonly opened: (facts: SceneFacts) => void;
  readonly poster: (poster: Poster) => void;
  readonly progress: (progress: Progress) => void;
  readonly firstPicture: () => void;
  readonly ready: () => void;
  readonly complete: () => void;
  readonly moved: (view: View) => void;
  readonly notice: (text: string) => void;
  readonly failed: (error: Error) => void;
}

export interface SessionOptions {
  readonly budget: Budget;
  readonly phone: boolean;
  readonly target: 'float' | 'fixed';
  readonly calm: boolean;
  /** Where to begin instead of the scene's home. */
  readonly begin: (facts: SceneFacts) => Pose | null;
}

export class Session {
  rig: Rig | null = null;
  facts: SceneFacts | null = null;
  progress: Progress | null = null;
  readonly source: SceneSource;
  readonly #gl: WebGL2RenderingContext;
  readonly #events: SessionEvents;
  readonly #options: SessionOptions;
  readonly #ended = new AbortController();
  readonly #milestones = new Milestones();
  #renderer: SplatRenderer | null = null;
  #worker: Worker | null = createWorker(); // begins while the scene's first bytes are on their way
  #size: readonly [number, number] = [1, 1];
  #ratio = 1;
  #shown: Pose | null = null;
  #jump = true;
  #start: Pose | null = null; // for going back
  #touched = false; // whether the user has moved the camera
  #view: View | null = null;
  #lookedMs = -Infinity;
  #lookTimer = 0;
  #holdsBack = false; // the client's updates

  constructor(
    gl: WebGL2RenderingContext,
    source: SceneSource,
    options: SessionOptions,
    events: SessionEvents,
  ) {
    this.#gl = gl;
    this.source = source;
    this.#options = options;
    this.#events = events;
    const { signal } = this.#ended;
    listen(source, 'open', signal, (facts) => this.#open(facts));
    listen(source, 'poster', signal, (poster) => events.poster(poster));
    listen(source, 'update', signal, (update) => this.#update(update));
    listen(source, 'ready', signal, () => this.#expect('ready'));
    listen(source, 'complete', signal, () => this.#expect('complete'));
    listen(source, 'error', signal, (error) => events.failed(error));
    const { notice } = events;
    listen(source, 'reconnecting', signal, () => notice('The connection was lost. Trying again …'));
    listen(source, 'damaged', signal, () => notice('A damaged part was refused and is requested again.'));
    listen(source, 'changed', signal, () => notice('The scene has changed on the server. Loading the new one …'));
  }

  get renderer(): SplatRenderer | null {
    return this.#renderer;
  }

  get view(): View | null {
    return this.#view;
  }

  /** The picture's size in device pixels, and how many of them make a CSS pixel. */
  resize(width: number, height: number, ratio: number): void {
    this.#size = [width, height];
    this.#ratio = ratio;
    this.#shown = null;
    this.rig?.resize(width / ratio, height / ratio);
    this.#renderer?.redraw();
    this.#events.needFrame();
  }

  /** The user moves the camera. */
  touch(): void {
    this.#touched = true;
    this.#events.needFrame();
  }

  /** Looks from `pose`: at once, or flying there. */
  look(pose: Pose, fly: boolean): void {
    if (!this.rig) return;
    this.touch();
    this.#jump ||= !fly && isFar(this.rig.pose, pose);
    if (fly) this.rig.flyTo(pose, performance.now());
    else this.rig.jump(pose);
  }

  /** Flies to the first view of the scene. */
  reset(): void {
    if (this.#start) this.look(this.#start, true);
  }

  /** Flies to where the whole scene is in the picture, from this side. */
  async frame(): Promise<void> {
    const ball = await this.#renderer?.measure();
    if (!ball || ball.radius === 0 || !this.rig) return;
    this.look(frame(this.rig.pose, this.rig.world, ball.center, ball.radius), true);
  }

  /** Sets the focus to the point at a CSS pixel, and with `fly` flies there; null where nothing is. */
  async focus(x: number, y: number, fly: boolean): Promise<Vec3 | null> {
    const point = await this.#pick(x * this.#ratio, y * this.#ratio);
    if (!this.rig || !point) return null;
    const { pose, world } = this.rig;
    if (fly) this.look(approach(pose, world, point), true);
    else this.rig.pose = { ...pose, focus: point };
    this.touch();
    return point;
  }

  /** One frame. */
  tick(nowMs: number, force = false): Tick {
    const { rig } = this;
    if (!rig || !this.#renderer) return { drew: false, again: false };
    rig.step(nowMs);
    if (!this.#shown || !samePose(this.#shown, rig.pose)) this.#show(rig);
    const { drew, again, splats } = this.#renderer.frame(nowMs, force);
    this.#keepUp();
    if (drew && splats > 0) this.#drawn();
    if (this.#milestones.waiting && !this.#renderer.busy) this.#settled();
    return { drew, again: rig.moving || again };
  }

  /** Uploads what has arrived while nothing is drawn. */
  flush(): void {
    this.#renderer?.flush();
    this.#keepUp();
  }

  setBudget(budget: Budget): void {
    this.source.setBudget(budget);
  }

  setPass(pass: PicturePass | null): void {
    this.#renderer?.setPass(pass);
  }

  dispose(): void {
    clearTimeout(this.#lookTimer);
    this.#ended.abort();
    this.source.dispose();
    this.#worker?.terminate();
    this.#renderer?.dispose();
    this.#renderer = null;
  }

  // Events of the source

  #open(facts: SceneFacts): void {
    this.#renderer?.dispose(); // the scene has changed: everything is new but the camera
    this.#milestones.clear();
    this.facts = facts;
    const { budget, phone, target, calm, begin } = this.#options;
    const world = worldOf(facts.up);
    const chosen = this.rig?.pose ?? begin(facts);
    this.#start = startOf(facts, world);
    this.rig = new Rig(chosen ?? this.#start, world);
    this.rig.calm = calm;
    this.rig.resize(this.#size[0] / this.#ratio, this.#size[1] / this.#ratio);
    this.#touched = chosen !== null;
    const precision = precisionFor(facts.count, budget, phone);
    const { shDegree, antialiased } = facts;
    const worker = this.#worker ?? createWorker();
    this.#worker = null;
    try {
      this.#renderer = new SplatRenderer(
        this.#gl,
        worker,
        { shDegree, antialiased, precision, target },
        {
          needFrame: this.#events.needFrame,
          committed: (progress) => {
            if (this.#milestones.committed(progress)) this.#events.needFrame();
          },
          failed: (error: ViewerError) => this.#events.failed(error),
        },
      );
    } catch (error) {
      worker.terminate();
      this.#events.failed(error as Error);
      return;
    }
    this.#events.opened(facts);
    this.#show(this.rig);
    this.#events.needFrame();
  }

  #update(update: SceneUpdate): void {
    this.progress = update.progress;
    this.#events.progress(update.progress);
    this.#renderer?.apply(update);
    this.#keepUp();
  }

  /** Lets the client bring no more than the screen keeps up with. */
  #keepUp(): void {
    const isBehind = this.#renderer?.isBehind ?? false;
    if (isBehind === this.#holdsBack) return;
    this.#holdsBack = isBehind;
    if (isBehind) this.source.pause?.();
    else this.source.resume?.();
  }

  #expect(milestone: Milestone): void {
    if (this.#milestones.expect(milestone)) this.#events.needFrame();
  }

  // Frames

  /** Gives renderer and client the camera. */
  #show(rig: Rig): void {
    const view = viewOf(rig.pose, rig.world, ...this.#size);
    this.#shown = rig.pose;
    this.#view = view;
    this.#renderer?.setView(view, this.#jump);
    this.#jump = false;
    this.#milestones.undo('ready');
    this.#lookSoon(view);
    this.#events.moved(view);
  }

  /** Gives the client the view now, or once the last time is long enough ago. */
  #lookSoon(view: View): void {
    clearTimeout(this.#lookTimer);
    const wait = this.#lookedMs + LOOK_EVERY_MS - performance.now();
    const look = (): void => {
      this.#lookedMs = performance.now();
      this.source.look(view);
    };
    if (wait <= 0) look();
    else this.#lookTimer = setTimeout(look, wait) as unknown as number;
  }

  #drawn(): void {
    if (!this.#milestones.reach('first')) return;
    if (this.facts?.home) void this.#settleFocus();
    else void this.#settleStart();
    this.#events.firstPicture();
  }

  /** Nothing is on its way to the screen any more. */
  #settled(): void {
    if (this.#milestones.reach('ready')) this.#events.ready();
    if (this.#milestones.reach('complete')) this.#events.complete();
  }

  /** Before the user has moved: the point in the middle of the first picture becomes the focus. */
  async #settleFocus(): Promise<void> {
    const { rig } = this;
    if (!rig || this.#touched) return;
    const [width, height] = this.#size;
    const point = await this.#pick(width / 2, height / 2);
    if (!point || this.#touched || this.rig !== rig) return;
    const away = distance(point, rig.pose.eye);
    rig.pose = refocused(rig.pose, rig.world, away);
    rig.reach = away;
    this.#start = rig.pose;
  }

  /** A scene without a home view: looks at most of it, once its extent is known. */
  async #settleStart(): Promise<void> {
    const ball = await this.#renderer?.measure();
    const { rig } = this;
    if (!ball || ball.radius === 0 || !rig) return;
    const eye = overview(ball.center, ball.radius, rig.world);
    this.#start = poseAt(eye, ball.center, FOV_Y, rig.world);
    rig.reach = ball.radius;
    if (this.#touched) return;
    rig.jump(this.#start);
    this.#jump = true;
    this.#events.needFrame();
  }

  async #pick(x: number, y: number): Promise<Vec3 | null> {
    const { rig } = this;
    const [width, height] = this.#size;
    const pose = this.#shown; // as it was drawn
    const depth = await this.#renderer?.depthAt(x, y);
    if (!rig || !pose || depth === undefined || depth === null) return null;
    return pointAt(pose, rig.world, { width, height }, [x, y], depth);
  }
}
