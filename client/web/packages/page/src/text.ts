// Numbers as text.

/** A size in decimal units, as storage and links count. */
export function formatBytes(bytes: number): string {
  for (const [unit, scale] of [['GB', 1e9], ['MB', 1e6], ['kB', 1e3]] as const) {
    if (bytes >= scale) return `${Number((bytes / scale).toPrecision(3))} ${unit}`;
  }
  return `${Math.round(bytes)} bytes`;
}

/** A rate from bytes per second, in bits as links count. */
export function formatRate(bytesPerSecond: number): string {
  const bits = 8 * bytesPerSecond;
  if (bits >= 1e6) return `${Number((bits / 1e6).toPrecision(3))} Mbit/s`;
  return `${Math.round(bits / 1e3)} kbit/s`;
}

/** Frames per second from the time between frames. */
export function formatFrames(frameMs: number): string {
  return `${Number((1000 / frameMs).toPrecision(2))}`;
}

/** A count with separators. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}
