// A camera that is being moved: by gestures, held keys, flights and what a drag leaves behind. It is
// given the time and returns poses; the DOM is in element/controls.ts.

import type { Gesture } from './gestures.ts';
import { fly, orbit, turn, walk, zoom, type Mode } from './moves.ts';
import { focalLength, refocused, type Pose, type World } from './pose.ts';
import { coast, flight, FLIGHT_MS, type Drive } from './time.ts';
import { distance, type Vec3 } from './vec.ts';

const TURNS_PER_SIDE = 0.5; // of a drag over the picture's shorter side, while orbiting
const KEY_TURN = 1.2; // radians per second
const KEY_MOVE = 0.7; // of the scene's reach, per second
const STILL = 1e-5; // radians per ms
const DRIVE_MS_MOST = 100; // that a held key moves for in one frame, however slow

interface Flight {
  readonly from: Pose;
  readonly to: Pose;
  readonly beganMs: number;
}

export class Rig {
  pose: Pose;
  mode: Mode = 'orbit';
  /** Whether movement that the person does not make by hand is left out. */
  calm = false;
  /** What is near and far in this scene, world units: held keys move by it. */
  reach: number;
  readonly world: World;
  #height = 1;
  #width = 1;
  #flight: Flight | null = null;
  #speed = { yaw: 0, pitch: 0 }; // left of a drag, radians per ms
  #drive: Drive | null = null;
  #clockMs: number | null = null;

  constructor(pose: Pose, world: World) {
    this.pose = pose;
    this.world = world;
    this.reach = distance(pose.eye, pose.focus);
  }

  /** Whether it goes on moving by itself. */
  get moving(): boolean {
    const coasts = Math.hypot(this.#speed.yaw, this.#speed.pitch) > STILL;
    return this.#flight !== null || this.#drive !== null || coasts;
  }

  /** Size of the picture in the pixels of gestures. */
  resize(width: number, height: number): void {
    [this.#width, this.#height] = [Math.max(1, width), Math.max(1, height)];
  }

  /** Moves there at once. */
  jump(pose: Pose): void {
    this.stop();
    this.pose = pose;
  }

  /** Flies there, or moves there at once if the user prefers reduced motion. */
  flyTo(to: Pose, nowMs: number): void {
    this.stop();
    if (this.calm) this.pose = to;
    else this.#flight = { from: this.pose, to, beganMs: nowMs };
  }

  /** Ends flights and coasting. */
  stop(): void {
    this.#flight = null;
    this.#speed = { yaw: 0, pitch: 0 };
  }

  setMode(mode: Mode): void {
    if (mode !== 'orbit' && this.mode === 'orbit') this.pose = refocused(this.pose, this.world);
    this.mode = mode;
  }

  /** What the held keys ask for from `nowMs` on. */
  setDrive(drive: Drive | null, nowMs: number): void {
    if (drive && !this.#drive) {
      this.stop();
      this.#clockMs = nowMs;
    }
    this.#drive = drive;
  }

  apply(gesture: Gesture): void {
    switch (gesture.type) {
      case 'turn': {
        this.stop();
        const { yaw, pitch } = this.#angles(gesture.dx, gesture.dy);
        this.#turn(yaw, pitch);
        break;
      }
      case 'pan': {
        this.stop();
        const unit = distance(this.pose.eye, this.pose.focus) / this.#focal;
        this.pose = fly(this.pose, this.world, [-gesture.dx * unit, gesture.dy * unit, 0]);
        break;
      }
      case 'zoom':
        this.stop();
        this.#zoom(gesture.factor);
        break;
      case 'release': {
        const { yaw, pitch } = this.#angles(gesture.speedX, gesture.speedY);
        this.#speed = this.calm ? { yaw: 0, pitch: 0 } : { yaw, pitch };
        break;
      }
      case 'click':
      case 'double':
        this.stop(); // the caller picks depths
    }
  }

  /** Moves on to `nowMs`. */
  step(nowMs: number): void {
    const elapsed = this.#clockMs === null ? 0 : nowMs - this.#clockMs;
    if (this.#flight) {
      const { from, to, beganMs } = this.#flight;
      const share = (nowMs - beganMs) / FLIGHT_MS;
      this.pose = flight(from, to, share);
      if (share >= 1) this.#flight = null;
    }
    if (this.#drive) this.#driveOn(this.#drive, Math.min(DRIVE_MS_MOST, elapsed) / 1000);
    const yaw = coast(this.#speed.yaw, elapsed);
    const pitch = coast(this.#speed.pitch, elapsed);
    if (yaw.moved !== 0 || pitch.moved !== 0) this.#turn(yaw.moved, pitch.moved);
    this.#speed = { yaw: yaw.left, pitch: pitch.left };
    this.#clockMs = this.moving ? nowMs : null;
    if (!this.moving) this.#speed = { yaw: 0, pitch: 0 };
  }

  get #focal(): number {
    return focalLength(this.pose.fovY, this.#width, this.#height);
  }

  /** Orbiting, the scene turns with the hand; else it is dragged along, pixel by pixel. */
  #angles(dx: number, dy: number): { yaw: number; pitch: number } {
    if (this.mode === 'orbit') {
      const perPixel = (TURNS_PER_SIDE * 2 * Math.PI) / Math.min(this.#height, this.#width);
      return { yaw: dx * perPixel, pitch: -dy * perPixel };
    }
    return { yaw: -dx / this.#focal, pitch: dy / this.#focal };
  }

  #turn(yaw: number, pitch: number): void {
    const move = this.mode === 'orbit' ? orbit : turn;
    this.pose = move(this.pose, this.world, yaw, pitch);
  }

  #zoom(factor: number): void {
    if (this.mode === 'orbit') {
      this.pose = zoom(this.pose, factor);
      return;
    }
    const by = -Math.log(factor) * this.reach;
    this.#move([0, 0, by]);
  }

  #driveOn({ move, turn: [yaw, pitch], pace }: Drive, seconds: number): void {
    const angle = KEY_TURN * seconds * Math.min(1, pace);
    if (this.mode === 'orbit') this.#turn(-yaw * angle, -pitch * angle);
    else this.#turn(yaw * angle, pitch * angle);
    const size = Math.hypot(...move);
    if (size === 0) return;
    const by = (KEY_MOVE * this.reach * pace * seconds) / size;
    this.#move([move[0] * by, move[1] * by, move[2] * by]);
  }

  #move(by: Vec3): void {
    const go = this.mode === 'walk' ? walk : fly;
    this.pose = go(this.pose, this.world, by);
  }
}
