import { describe, expect, test } from 'vitest';
import { approach, fly, frame, orbit, turn, walk, zoom } from '../src/camera/moves.ts';
import {
  PITCH_MOST,
  axesOf,
  focalLength,
  formatPose,
  isFar,
  parsePose,
  pointAt,
  poseAlong,
  poseAt,
  viewOf,
  worldOf,
  type Pose,
} from '../src/camera/pose.ts';
import { coast, driveOf, flight, shortest } from '../src/camera/time.ts';
import { cross, distance, dot, length, scale, subtract, unit, type Vec3 } from '../src/camera/vec.ts';
import { normal, random } from './random.ts';

const next = random(11);
const vector = (): Vec3 => [normal(next), normal(next), normal(next)];
const WORLDS = [worldOf([0, -1, 0]), worldOf([0, 0, 0]), worldOf([0, 0, 1]), worldOf(vector()), worldOf(vector())];
const somePose = (world: (typeof WORLDS)[number]): Pose => ({
  ...poseAlong(vector(), vector(), 1 + next(), 0.9, world),
  focus: vector(),
});

function close(a: Vec3, b: Vec3, digits = 9): void {
  a.forEach((value, i) => expect(value).toBeCloseTo(b[i]!, digits));
}

/** Where a point shows, in pixels, by the matrices of the view. */
function project(pose: Pose, world: (typeof WORLDS)[number], point: Vec3): Vec3 {
  const { viewmat: V, K } = viewOf(pose, world, 640, 360);
  const row = (i: number): number => V[i]! * point[0] + V[i + 1]! * point[1] + V[i + 2]! * point[2] + V[i + 3]!;
  const [x, y, z] = [row(0), row(4), row(8)];
  return [(K[0]! * x) / z + K[2]!, (K[4]! * y) / z + K[5]!, z];
}

describe.each(WORLDS)('in the world %o', (world) => {
  test('a camera has axes at right angles, right-handed, without roll', () => {
    for (let i = 0; i < 20; i++) {
      const { right, up, forward } = axesOf(somePose(world), world);
      close(cross(right, scale(up, -1)), forward);
      expect(length(right)).toBeCloseTo(1, 9);
      expect(dot(right, world.up)).toBeCloseTo(0, 9);
      expect(dot(up, world.up)).toBeGreaterThan(0);
    }
  });

  test('a pose along a direction looks there', () => {
    for (let i = 0; i < 20; i++) {
      const forward = vector();
      const pose = poseAlong([1, 2, 3], forward, 2, 1, world);
      if (Math.abs(pose.pitch) < PITCH_MOST) close(axesOf(pose, world).forward, unit(forward));
      expect(distance(pose.eye, pose.focus)).toBeCloseTo(2, 9);
    }
    const down = poseAlong([0, 0, 0], scale(world.up, -1), 1, 1, world);
    expect(down.pitch).toBe(-PITCH_MOST);
  });

  test('orbiting keeps the focus where it shows and as far away', () => {
    for (let i = 0; i < 20; i++) {
      const pose = { ...somePose(world), focus: vector() };
      const seen = project(pose, world, pose.focus);
      const moved = orbit(pose, world, 0.3 * normal(next), 0.1 * normal(next));
      if (Math.abs(moved.pitch) >= PITCH_MOST) continue;
      close(project(moved, world, pose.focus), seen, 6);
      expect(distance(moved.eye, pose.focus)).toBeCloseTo(distance(pose.eye, pose.focus), 9);
    }
  });

  test('dragging to the right while orbiting takes the camera to the left', () => {
    const pose = poseAlong([0, 0, 0], world.ahead, 2, 1, world);
    const moved = orbit(pose, world, 0.2, 0);
    expect(dot(subtract(moved.eye, pose.eye), world.right)).toBeLessThan(0);
    expect(dot(subtract(orbit(pose, world, 0, -0.2).eye, pose.eye), world.up)).toBeGreaterThan(0);
  });

  test('turning stays in place', () => {
    const pose = somePose(world);
    const moved = turn(pose, world, 0.4, 0.2);
    expect(moved.eye).toEqual(pose.eye);
    expect(distance(moved.eye, moved.focus)).toBeCloseTo(distance(pose.eye, pose.focus), 9);
    expect(turn(pose, world, 0, 9).pitch).toBe(PITCH_MOST);
  });

  test('flying goes where the camera points, walking stays on the level', () => {
    const pose = { ...somePose(world), pitch: 0.7 };
    close(subtract(fly(pose, world, [0, 0, 2]).eye, pose.eye), scale(axesOf(pose, world).forward, 2));
    const step = subtract(walk(pose, world, [1, 0, 2]).eye, pose.eye);
    expect(dot(step, world.up)).toBeCloseTo(0, 9);
    expect(length(step)).toBeCloseTo(Math.sqrt(5), 9);
    close(subtract(walk(pose, world, [0, 3, 0]).eye, pose.eye), scale(world.up, 3));
  });

  test('zooming keeps the focus in the picture where it was', () => {
    const pose = somePose(world);
    const nearer = zoom(pose, 0.5);
    expect(distance(nearer.eye, pose.focus)).toBeCloseTo(0.5 * distance(pose.eye, pose.focus), 9);
    const [x, y] = project(pose, world, pose.focus);
    const [x2, y2] = project(nearer, world, pose.focus);
    expect([x2, y2].every((v, i) => Math.abs(v - [x, y][i]!) < 1e-6)).toBe(true);
    expect(distance(zoom(pose, 0).eye, pose.focus)).toBeGreaterThan(0.01);
  });

  test('framing shows all of a ball, approaching centres a point', () => {
    const pose = somePose(world);
    const framed = frame(pose, world, [3, 4, 5], 2);
    const [x, y, z] = project(framed, world, [3, 4, 5]);
    close([x, y, z], [320, 180, 2 / Math.sin(pose.fovY / 2)], 6);
    const near = approach(pose, world, pose.focus);
    expect(distance(near.eye, pose.focus)).toBeCloseTo(distance(pose.eye, pose.focus) / 3, 9);
    if (Math.abs(near.pitch) < PITCH_MOST) {
      const [cx, cy] = project(near, world, pose.focus);
      expect(cx).toBeCloseTo(320, 6);
      expect(cy).toBeCloseTo(180, 6);
    }
  });

  test('a picked pixel leads to the point that shows there', () => {
    const pose = somePose(world);
    const point = pointAt(pose, world, { width: 640, height: 360 }, [100, 300], 4);
    close(project(pose, world, point), [100, 300, 4], 6);
  });

  test('a pose comes back from its text', () => {
    const pose = somePose(world);
    const back = parsePose(formatPose(pose), world)!;
    close(back.eye, pose.eye, 4);
    close(back.focus, pose.focus, 4);
    expect(back.yaw).toBeCloseTo(pose.yaw, 3);
    expect(back.fovY).toBeCloseTo(pose.fovY, 3);
    expect(formatPose(parsePose(formatPose(pose), world)!)).toBe(formatPose(back));
  });
});

test('text that is no camera is refused', () => {
  const world = worldOf([0, 0, 0]);
  for (const text of ['', '1', '1,2,3,4,5', '1,2,3,1,2,3', 'a,b,c,d,e,f', '1,2,3,4,5,6,', '0,0,0,1,0,0,999', '1,2,3,4,5,6,7,8']) {
    expect(parsePose(text, world)).toBeNull();
  }
  const pose = parsePose('0,0,-3, 0,0,0, 60', world)!;
  expect(pose.fovY).toBeCloseTo(Math.PI / 3);
  close(axesOf(pose, world).forward, [0, 0, 1]);
});

test('the field of view holds along the height, and between both on a phone', () => {
  expect(focalLength(1, 640, 360)).toBe(180 / Math.tan(0.5));
  expect(focalLength(1, 360, 640)).toBe(240 / Math.tan(0.5));
});

describe('in time', () => {
  const world = worldOf([0, -1, 0]);
  const from = poseAt([0, 0, 0], [0, 0, 1], 0.8, world);
  const to = { ...poseAt([4, 0, 0], [4, 1, 1], 1, world), yaw: from.yaw - 6 };

  test('a flight begins and ends where it should and turns the short way', () => {
    expect(flight(from, to, 1)).toEqual(to);
    close(flight(from, to, 0).eye, from.eye);
    expect(flight(from, to, -1).yaw).toBe(from.yaw);
    expect(flight(from, to, 0.5).yaw - from.yaw).toBeCloseTo((2 * Math.PI - 6) / 2, 9);
    expect(shortest(2 * Math.PI - 0.1)).toBeCloseTo(-0.1);
  });

  test('coasting does not depend on the frame rate', () => {
    const whole = coast(2, 50);
    const half = coast(2, 25);
    const rest = coast(half.left, 25);
    expect(half.moved + rest.moved).toBeCloseTo(whole.moved, 9);
    expect(rest.left).toBeCloseTo(whole.left, 9);
    expect(coast(2, 1e9).moved).toBeCloseTo(240, 6);
  });

  test('held keys add up', () => {
    expect(driveOf(new Set(['KeyW', 'KeyD']), false, false)).toEqual({ move: [1, 0, 1], turn: [0, 0], pace: 1 });
    expect(driveOf(new Set(['KeyW', 'KeyS']), false, false)).toBeNull();
    expect(driveOf(new Set(['ArrowUp']), true, false)?.pace).toBe(3);
    expect(driveOf(new Set(['KeyX']), true, false)).toBeNull();
  });
});

test('a jump is what shows something else; steps of a path are none', () => {
  const world = WORLDS[0]!;
  const pose = poseAt([0, 0, -4], [0, 0, 0], 0.9, world);
  expect(isFar(pose, pose)).toBe(false);
  expect(isFar(pose, poseAt([0.1, 0, -4], [0, 0, 0], 0.9, world))).toBe(false);
  expect(isFar(pose, turn(pose, world, 0.1, 0.1))).toBe(false);
  expect(isFar(pose, { ...pose, yaw: pose.yaw + 2 * Math.PI })).toBe(false);
  expect(isFar(pose, turn(pose, world, 0.3, 0))).toBe(true);
  expect(isFar(pose, turn(pose, world, 0, -0.3))).toBe(true);
  expect(isFar(pose, poseAt([0, 0, -2], [0, 0, 0], 0.9, world))).toBe(true);
});
