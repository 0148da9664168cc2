// The head of a Zstandard frame (RFC 8878, section 3.1.1.1), read by hand: content size, window,
// dictionary, checksum. It is checked before anything is allocated.

import { corrupt } from './fault.ts';

const MAGIC = 0xfd2fb528;
const LEAST_WINDOW_LOG = 10;

/** The head of a frame. */
export interface FrameHead {
  /** Length of the head in bytes. */
  readonly headBytes: number;
  /** Length of the content, null where the frame does not declare it. */
  readonly contentBytes: number | null;
  readonly windowBytes: number;
  /** 0 where none is named. */
  readonly dictionary: number;
  readonly hasChecksum: boolean;
}

/** Reads the head of a frame; raises ZstdError. */
export function readFrameHead(frame: Uint8Array): FrameHead {
  if (frame.length < 5 || little(frame, 0, 4) !== MAGIC) corrupt('this is no zstd frame');
  const descriptor = frame[4] ?? 0;
  if (descriptor & 0x08) corrupt('the reserved bit of the frame is set');
  const isSingle = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >>> 6;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = sizeFlag === 0 ? (isSingle ? 1 : 0) : 1 << sizeFlag;
  const headBytes = 5 + (isSingle ? 0 : 1) + dictionaryBytes + sizeBytes;
  if (frame.length < headBytes) corrupt('the head of the frame is cut');
  let position = 5;
  let windowBytes = 0;
  if (!isSingle) {
    const window = frame[position] ?? 0;
    const base = 2 ** (LEAST_WINDOW_LOG + (window >>> 3));
    windowBytes = base + (base / 8) * (window & 7);
    position += 1;
  }
  const dictionary = little(frame, position, dictionaryBytes);
  position += dictionaryBytes;
  let contentBytes: number | null = null;
  if (sizeBytes > 0) {
    contentBytes = little(frame, position, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
    if (isSingle) windowBytes = contentBytes;
  }
  return { headBytes, contentBytes, windowBytes, dictionary, hasChecksum: (descriptor & 4) !== 0 };
}

function little(bytes: Uint8Array, start: number, length: number): number {
  let value = 0;
  for (let i = length - 1; i >= 0; i--) value = value * 256 + (bytes[start + i] ?? 0);
  return value;
}
