// The fixed header: 64 bytes with the name of the format and the place of the root index
// (spec/format.md, section 3).

import { crc32c } from '../bytes/crc32c.ts';
import {
  FORMAT_MAJOR,
  HASH_BYTES,
  HEADER_BYTES,
  MAX_FILE_BYTES,
  MAX_POSTER_BYTES,
  MAX_ROOT_PACKED_BYTES,
  MAX_ROOT_RAW_BYTES,
} from '../constants.ts';
import { DamagedError, LimitError, TruncatedError, UnsupportedError } from '../errors.ts';

const MAGIC = Uint8Array.of(0x45, 0x58, 0x47, 0x53, 0x0d, 0x0a, 0x1a, 0x0a);
const SECTION = 'header';
const POSTER_AT = 48;
const RESERVED_AT = 50;
const CRC_AT = 60;

/** The contents of the first 64 bytes of a file. */
export interface Header {
  readonly minor: number;
  readonly fileBytes: number;
  readonly rootPackedBytes: number;
  readonly rootRawBytes: number;
  readonly rootHash: Uint8Array;
  readonly posterBytes: number;
  /** Offset of the first byte behind the root index. */
  readonly rootEnd: number;
  /** Offset of the first byte behind the poster. */
  readonly posterEnd: number;
}

/** Reads the header from the first bytes of a file; raises every class of FormatError. */
export function readHeader(data: Uint8Array): Header {
  for (let i = 0; i < Math.min(data.length, MAGIC.length); i++) {
    if (data[i] !== MAGIC[i]) throw new DamagedError('this is not an .exgs file', SECTION);
  }
  if (data.length < HEADER_BYTES) {
    throw new TruncatedError(`the file ends after ${data.length} bytes`, SECTION, HEADER_BYTES);
  }
  const view = new DataView(data.buffer, data.byteOffset, HEADER_BYTES);
  if (crc32c(data.subarray(0, CRC_AT)) !== view.getUint32(CRC_AT, true)) {
    throw new DamagedError('the checksum does not match', SECTION);
  }
  const major = view.getUint16(8, true);
  const minor = view.getUint16(10, true);
  if (major !== FORMAT_MAJOR) {
    throw new UnsupportedError(`format version ${major}.${minor}`, SECTION);
  }
  const reserved = data.subarray(RESERVED_AT, CRC_AT);
  if (view.getUint32(12, true) !== 0 || reserved.some((byte) => byte !== 0)) {
    throw new UnsupportedError('unknown flags are set', SECTION);
  }
  const fileBytes = view.getUint32(16, true) + view.getUint32(20, true) * 2 ** 32;
  const rootPackedBytes = view.getUint32(24, true);
  const rootRawBytes = view.getUint32(28, true);
  const posterBytes = view.getUint16(POSTER_AT, true);
  if (rootPackedBytes > MAX_ROOT_PACKED_BYTES || rootRawBytes > MAX_ROOT_RAW_BYTES) {
    throw new LimitError(`a root index of ${Math.max(rootPackedBytes, rootRawBytes)} bytes`, SECTION);
  }
  if (posterBytes > MAX_POSTER_BYTES) throw new LimitError(`a poster of ${posterBytes} bytes`, SECTION);
  if (fileBytes > MAX_FILE_BYTES) throw new LimitError(`a file of ${fileBytes} bytes`, SECTION);
  const rootEnd = HEADER_BYTES + rootPackedBytes;
  const posterEnd = rootEnd + posterBytes;
  if (fileBytes < posterEnd) {
    throw new DamagedError('the file length is less than that of its index and poster', SECTION);
  }
  const rootHash = data.slice(32, 32 + HASH_BYTES);
  return { minor, fileBytes, rootPackedBytes, rootRawBytes, rootHash, posterBytes, rootEnd, posterEnd };
}
