import { describe, expect, test } from 'vitest';
import { Gestures, type Gesture } from '../src/camera/gestures.ts';
import { poseAt, worldOf } from '../src/camera/pose.ts';
import { Rig } from '../src/camera/rig.ts';

/** Plays [what, id, x, y, ms] and returns all gestures. */
function play(events: readonly ['down' | 'move' | 'up', number, number, number, number][], pans = false): Gesture[] {
  const gestures = new Gestures();
  return events.flatMap(([what, id, x, y, timeMs]) => {
    const change = { id, x, y, timeMs };
    if (what === 'down') gestures.down(change, pans);
    return what === 'move' ? gestures.move(change) : what === 'up' ? gestures.up(change) : [];
  });
}

describe('gestures', () => {
  test('a short press is a click, two of them a double one', () => {
    const got = play([
      ['down', 1, 10, 10, 0],
      ['move', 1, 12, 11, 50],
      ['up', 1, 12, 11, 100],
      ['down', 1, 14, 11, 200],
      ['up', 1, 14, 11, 250],
      ['down', 1, 14, 11, 300],
      ['up', 1, 14, 11, 350],
    ]);
    expect(got.map((g) => g.type)).toEqual(['click', 'double', 'click']);
  });

  test('a drag turns, ends with its speed, and is no click', () => {
    const got = play([
      ['down', 1, 0, 0, 0],
      ['move', 1, 10, 0, 10],
      ['move', 1, 20, 5, 20],
      ['up', 1, 20, 5, 20],
    ]);
    expect(got[0]).toEqual({ type: 'turn', dx: 10, dy: 0 });
    expect(got.at(-1)).toEqual({ type: 'release', speedX: 1, speedY: 0.25 });
  });

  test('a hand that rests before it lets go leaves no speed', () => {
    const got = play([
      ['down', 1, 0, 0, 0],
      ['move', 1, 50, 0, 10],
      ['move', 1, 50, 0, 500],
      ['up', 1, 50, 0, 510],
    ]);
    const last = got.at(-1)!;
    expect(last.type === 'release' && last.speedX).toBe(0);
  });

  test('the other button pans, and clicks nothing', () => {
    const got = play([['down', 1, 0, 0, 0], ['move', 1, 10, 4, 10], ['up', 1, 10, 4, 20]], true);
    expect(got).toEqual([{ type: 'pan', dx: 10, dy: 4 }]);
    expect(play([['down', 1, 0, 0, 0], ['up', 1, 0, 0, 20]], true)).toEqual([]);
  });

  test('two fingers pan and pinch', () => {
    const got = play([
      ['down', 1, 0, 0, 0],
      ['down', 2, 100, 0, 10],
      ['move', 2, 200, 0, 20],
      ['up', 2, 200, 0, 30],
      ['up', 1, 0, 0, 40],
    ]);
    expect(got).toEqual([
      { type: 'pan', dx: 50, dy: 0 },
      { type: 'zoom', factor: 0.5 },
    ]);
  });
});

describe('a rig', () => {
  const world = worldOf([0, -1, 0]);
  const begin = poseAt([0, 0, -3], [0, 0, 0], 0.9, world);
  const rig = (): Rig => {
    const made = new Rig(begin, world);
    made.resize(640, 360);
    return made;
  };

  test('coasts after a drag and comes to rest; not where motion is unwanted', () => {
    const moving = rig();
    moving.apply({ type: 'release', speedX: 1, speedY: 0 });
    expect(moving.moving).toBe(true);
    for (let t = 0; t < 5000; t += 16) moving.step(t);
    expect(moving.moving).toBe(false);
    expect(moving.pose.yaw).toBeGreaterThan(begin.yaw + 0.1);
    const calm = rig();
    calm.calm = true;
    calm.apply({ type: 'release', speedX: 1, speedY: 0 });
    expect(calm.moving).toBe(false);
    calm.flyTo({ ...begin, eye: [1, 1, 1] }, 0);
    expect(calm.pose.eye).toEqual([1, 1, 1]);
  });

  test('flies and arrives; a hand stops it', () => {
    const flying = rig();
    flying.flyTo({ ...begin, eye: [0, 0, -1] }, 1000);
    flying.step(1000);
    flying.step(1350);
    expect(flying.pose.eye[2]).toBeCloseTo(-2);
    flying.step(1701);
    expect(flying.pose.eye).toEqual([0, 0, -1]);
    flying.flyTo(begin, 2000);
    flying.step(2100);
    flying.apply({ type: 'pan', dx: 1, dy: 0 });
    expect(flying.moving).toBe(false);
  });

  test('keys move by the clock, wherever they are held', () => {
    const one = rig();
    one.setMode('walk');
    one.setDrive({ move: [0, 0, 1], turn: [0, 0], pace: 1 }, 0);
    for (let t = 20; t <= 1000; t += 20) one.step(t);
    const other = rig();
    other.setMode('walk');
    other.setDrive({ move: [0, 0, 1], turn: [0, 0], pace: 1 }, 0);
    for (let t = 50; t <= 1000; t += 50) other.step(t);
    expect(one.pose.eye[2]).toBeCloseTo(other.pose.eye[2], 9);
    expect(one.pose.eye[2]).toBeGreaterThan(-3);
    one.setDrive(null, 1000);
    expect(one.moving).toBe(false);
  });

  test('panning drags the focus with the pointer', () => {
    const panned = rig();
    panned.apply({ type: 'pan', dx: 10, dy: 0 });
    const perPixel = 3 / (180 / Math.tan(0.45));
    expect(panned.pose.focus[0]).toBeCloseTo(-10 * perPixel, 9);
  });
});
