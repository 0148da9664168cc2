// The parameters in the address of the page, and the camera in its hash.

export interface Parameters {
  /** Whether buttons and panel are left away. */
  readonly plain: boolean;
  /** Splats to hold at most, null for the device's own choice. */
  readonly budget: number | null;
  /** A line with the rate of frames and the like. */
  readonly ministats: boolean;
  /** Simulated link, bytes per second. */
  readonly rate: number | null;
  readonly transport: 'auto' | 'static' | 'streaming';
  readonly poster: string | null;
  /** `float` or `fixed`, null for what the device can. */
  readonly target: string | null;
  /** Whether pictures at rest are sharpened. */
  readonly sharpen: boolean;
}

const MILLIONS_BELOW = 1000; // a budget of 1.5 means 1.5 million
const BYTES_PER_MBIT = 125_000;

/** Reads the query part of an address. */
export function readParameters(search: string): Parameters {
  const given = new URLSearchParams(search);
  const positive = (name: string): number | null => {
    const value = Number(given.get(name) ?? NaN);
    return value > 0 && Number.isFinite(value) ? value : null;
  };
  const isOn = (name: string): boolean => given.has(name) && !/^(0|false|no)$/i.test(given.get(name)!);
  const budget = positive('budget');
  const rate = positive('rate');
  const transport = given.get('transport');
  return {
    plain: isOn('noui'),
    budget: budget === null ? null : Math.round(budget < MILLIONS_BELOW ? budget * 1e6 : budget),
    ministats: isOn('ministats'),
    rate: rate === null ? null : rate * BYTES_PER_MBIT,
    transport: transport === 'static' || transport === 'streaming' ? transport : 'auto',
    poster: given.get('poster'),
    target: given.get('target'),
    sharpen: isOn('sharpen'),
  };
}

/** The camera in the hash of an address, empty where there is none. */
export function cameraOf(hash: string): string {
  return new URLSearchParams(hash.replace(/^#/, '')).get('camera') ?? '';
}

/** The hash with this camera. */
export function hashOf(camera: string): string {
  return `#camera=${camera}`;
}
