// In the browser: opens a scene, flies through it and turns about, and counts.

import '../../src/define.ts';
import type { ExgsViewer } from '../../src/index.ts';

export interface Job {
  readonly url: string;
  readonly budget: number;
  readonly rate: number; // bytes per second
  readonly seed: number;
}

/** One leg: some seconds of flight, then a turn and the wait until all is sharp. */
export interface Leg {
  readonly frames: number;
  readonly flightS: number;
  readonly splats: number; // in the order at the end
  readonly held: number; // drawn by the client's count
  readonly receivedBytes: number;
  readonly gpuBytes: number;
  readonly arrivedS: number | null; // from the turn until the client has all that the view shows
  readonly sharpS: number | null; // from the turn until that is drawn; null: not within the time
}

export interface Loading {
  readonly firstPictureS: number;
  readonly readyS: number;
  readonly longTasksMs: number[]; // of the main thread until then
}

const FLIGHT_S = 5;
const MOST_S = 30; // to wait for `ready`

type Vec = readonly [number, number, number];

let viewer: ExgsViewer;
let draws = 0;
let isReady = false;
const errors: string[] = [];
const longTasks: number[] = [];
let random = 1;
let ball: { center: Vec; radius: number } = { center: [0, 0, 0], radius: 1 };

const nowS = (): number => performance.now() / 1000;
const frame = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));

const drawElements = WebGL2RenderingContext.prototype.drawElementsInstanced;
WebGL2RenderingContext.prototype.drawElementsInstanced = function (...args) {
  draws++;
  drawElements.apply(this, args);
};
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) longTasks.push(Math.round(duration));
}).observe({ type: 'longtask', buffered: true });

/** Opens the scene and waits until its first view is sharp. */
async function open(job: Job): Promise<Loading> {
  random = job.seed;
  const began = nowS();
  viewer = document.createElement('exgs-viewer');
  viewer.setAttribute('budget', String(job.budget));
  if (Number.isFinite(job.rate)) viewer.setAttribute('rate', String(job.rate));
  viewer.addEventListener('error', (event) => errors.push(String((event as unknown as CustomEvent<Error>).detail)));
  viewer.addEventListener('ready', () => (isReady = true));
  const first = new Promise((resolve) => viewer.addEventListener('firstpicture', resolve, { once: true }));
  document.querySelector('main')!.append(viewer);
  viewer.load(job.url, { cache: false });
  await first;
  const firstPictureS = nowS() - began;
  await ready(nowS() + 10 * MOST_S);
  const loading = { firstPictureS, readyS: nowS() - began, longTasksMs: longTasks.splice(0) };
  ball = await measure();
  return loading;
}

/** The ball that the key F shows: most of the scene. */
async function measure(): Promise<typeof ball> {
  const stage = viewer.shadowRoot!.querySelector('canvas:not(.poster)')!;
  stage.dispatchEvent(new KeyboardEvent('keydown', { code: 'KeyF', key: 'f', bubbles: true }));
  for (let before = ''; before !== viewer.camera; ) {
    before = viewer.camera;
    await new Promise((resolve) => setTimeout(resolve, 4000));
  }
  const numbers = viewer.camera.split(',').map(Number);
  const [ex = 0, ey = 0, ez = 0, x = 0, y = 0, z = 0, , , fov = 50] = numbers;
  const away = Math.hypot(x - ex, y - ey, z - ez);
  return { center: [x, y, z], radius: away * Math.sin((fov * Math.PI) / 360) };
}

async function ready(untilS: number): Promise<boolean> {
  while (!isReady && errors.length === 0 && nowS() < untilS) await new Promise((r) => setTimeout(r, 20));
  return isReady;
}

/** One leg of the flight; `longTasksMs` are those since the last. */
async function fly(): Promise<Leg & { longTasksMs: number[]; errors: string[] }> {
  const [from, to] = [place(), place()];
  const began = nowS();
  const before = draws;
  for (let share = 0; share < 1; ) {
    share = Math.min(1, (nowS() - began) / FLIGHT_S);
    const at = between(from.eye, to.eye, share);
    look(at, between(from.target, to.target, share));
    await frame();
  }
  const flightS = nowS() - began;
  const frames = draws - before;
  const behind = to.eye.map((value, i) => 2 * value - to.target[i]!) as unknown as Vec; // as if turned about
  isReady = false;
  const turnedS = nowS();
  look(to.eye, behind);
  await frame();
  isReady = false;
  let arrivedS: number | null = null;
  const arrived = (): void => {
    if (!viewer.stats?.progress?.readyForView) arrivedS = null;
    else arrivedS ??= nowS() - turnedS;
  };
  viewer.addEventListener('progress', arrived);
  const isSharp = await ready(turnedS + MOST_S);
  viewer.removeEventListener('progress', arrived);
  const { splats, gpuBytes, progress } = viewer.stats!;
  return {
    frames,
    flightS,
    splats,
    held: progress!.splats,
    receivedBytes: progress!.receivedBytes,
    gpuBytes,
    arrivedS,
    sharpS: isSharp ? nowS() - turnedS : null,
    longTasksMs: longTasks.splice(0),
    errors,
  };
}

function look(from: Vec, to: Vec): void {
  viewer.look([...from, ...to].map((value) => value.toFixed(5)).join(','));
}

/** Somewhere within the scene, a little above its middle, looking along it. */
function place(): { eye: Vec; target: Vec } {
  const { center, radius } = ball;
  const up = unit(viewer.facts!.up);
  const side = unit(Math.abs(up[0]) < 0.9 ? [0, up[2], -up[1]] : [up[2], 0, -up[0]]);
  const [from, to] = [turn(side, up, next() * 2 * Math.PI), turn(side, up, next() * 2 * Math.PI)];
  const out = 0.6 * radius * Math.sqrt(next());
  const eye = center.map((value, i) => value + out * from[i]! + 0.15 * radius * up[i]!) as unknown as Vec;
  return { eye, target: eye.map((value, i) => value + radius * to[i]! - 0.1 * radius * up[i]!) as unknown as Vec };
}

function unit(v: Vec): Vec {
  const length = Math.hypot(...v);
  return length > 0 ? (v.map((value) => value / length) as unknown as Vec) : [0, -1, 0];
}

function next(): number {
  random = (random * 48271) % 2147483647;
  return random / 2147483647;
}

function between(a: Vec, b: Vec, share: number): Vec {
  return a.map((value, i) => value + share * (b[i]! - value)) as unknown as Vec;
}

/** `v` turned about an axis of length 1, by Rodrigues' formula. */
function turn(v: Vec, axis: Vec, angle: number): Vec {
  const [x, y, z] = axis;
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const along = (x * v[0] + y * v[1] + z * v[2]) * (1 - c);
  return [
    v[0] * c + (y * v[2] - z * v[1]) * s + x * along,
    v[1] * c + (z * v[0] - x * v[2]) * s + y * along,
    v[2] * c + (x * v[1] - y * v[0]) * s + z * along,
  ];
}

Object.assign(window, { open_: open, fly, ball: () => ball });
