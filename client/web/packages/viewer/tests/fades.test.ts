import { describe, expect, test } from 'vitest';
import { FADE_MS, Fades, LONGEST_MS, STEP_MOST, advance, between, type Look } from '../src/fades.ts';

const look = (opacity: number, amplification = 1, harmonics = 1): Look => ({
  opacity,
  amplification,
  harmonics,
});

function table() {
  const values = new Map<number, Look>();
  const fades = new Fades(
    (group) => values.get(group) ?? look(0),
    (group, value) => values.set(group, value),
  );
  return { values, fades };
}

describe('a fade', () => {
  test('is linear in time, and bounded by frame', () => {
    expect(advance(0.2, 30, 300)).toBeCloseTo(0.3);
    expect(advance(0, 400, 300)).toBe(STEP_MOST);
    expect(advance(0, LONGEST_MS / 2, 300)).toBe(0.5);
    expect(advance(0, 10_000, 300)).toBe(1);
    expect(advance(0.95, 100, 300)).toBe(1);
    expect(advance(0.5, -5, 300)).toBe(0.5);
    expect(advance(0, 0, 0)).toBe(1);
  });

  test('ends at what it was told, exactly', () => {
    expect(between(look(0.1, 1.7), look(0.3, 1.1), 1)).toEqual(look(0.3, 1.1));
    expect(between(look(0), look(1), 0.25).opacity).toBe(0.25);
  });
});

describe('fades', () => {
  test('what goes and what comes add up to 1 in every frame', () => {
    const { values, fades } = table();
    values.set(1, look(1));
    fades.begin([
      { group: 1, to: look(0) },
      { group: 2, to: look(1) },
    ]);
    let frames = 0;
    let arrived: number[] = [];
    while (fades.active) {
      arrived = fades.step(16, FADE_MS);
      expect(values.get(1)!.opacity + values.get(2)!.opacity).toBeCloseTo(1, 12);
      frames++;
    }
    expect(frames).toBe(Math.ceil(FADE_MS / 16));
    expect(arrived).toEqual([1, 2]);
    expect(values.get(1)!.opacity).toBe(0);
  });

  test('a group that is told something new turns round where it is', () => {
    const { values, fades } = table();
    fades.begin([{ group: 1, to: look(1) }]);
    fades.step(30, 300);
    fades.begin([{ group: 1, to: look(0) }]);
    expect(fades.target(1)).toEqual(look(0));
    const before = values.get(1)!.opacity;
    fades.step(30, 300);
    expect(values.get(1)!.opacity).toBeCloseTo(before * 0.9);
    while (fades.active) fades.step(30, 300);
    expect(values.get(1)!.opacity).toBe(0);
    expect(fades.target(1)).toEqual(look(0));
  });

  test('a group that is forgotten stays as it is', () => {
    const { values, fades } = table();
    fades.begin([{ group: 1, to: look(1) }]);
    fades.step(30, 300);
    fades.forget(1);
    const { opacity } = values.get(1)!;
    while (fades.active) fades.step(30, 300);
    expect(values.get(1)!.opacity).toBe(opacity);
  });
});
