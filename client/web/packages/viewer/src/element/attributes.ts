// The attributes of the element.

import type { OpenOptions } from '@exgs/client';
import type { SceneFacts } from '@exgs/client/update';
import { parsePose, worldOf, type Pose } from '../camera/pose.ts';

export const OBSERVED = ['src', 'poster', 'noui', 'budget', 'camera', 'rate'] as const;

/** Reads the attributes of one element; what is missing or makes no sense is null. */
export class Attributes {
  readonly #element: Element;

  constructor(element: Element) {
    this.#element = element;
  }

  get src(): string {
    return this.#element.getAttribute('src') ?? '';
  }

  get poster(): string | null {
    return this.#element.getAttribute('poster');
  }

  /** Most splats to keep. */
  get splats(): number | null {
    return this.#positive('budget');
  }

  /** Bytes per second. */
  get rate(): number | null {
    return this.#positive('rate');
  }

  get target(): 'float' | 'fixed' {
    return this.#element.getAttribute('target') === 'fixed' ? 'fixed' : 'float';
  }

  /** Where to begin. */
  pose(facts: SceneFacts): Pose | null {
    const text = this.#element.getAttribute('camera') ?? '';
    return parsePose(text, worldOf(facts.up), facts.home?.fovY);
  }

  /** What of them the client takes. */
  get openOptions(): OpenOptions {
    const transport = this.#element.getAttribute('transport') as OpenOptions['transport'] | null;
    const { rate } = this;
    return { ...(transport && { transport }), ...(rate !== null && { rate }) };
  }

  #positive(name: string): number | null {
    const value = Number(this.#element.getAttribute(name) ?? NaN);
    return value > 0 ? value : null;
  }
}
