// Every number of the format and the protocol, generated from exgs.codec.constants by
// client/web/make_constants.py: do not edit.

export const FORMAT_MAJOR = 1;
export const FORMAT_MINOR = 0;
export const HEADER_BYTES = 64;
export const HASH_BYTES = 16;

export const ChunkKind = {
  LEAF: 0,
  PROXY: 1,
  SH: 2,
  BASIS: 3,
  FINE: 4,
  EXTRA: 128,
} as const;

export const GEOMETRY_HEAD_BYTES = 48;
export const GEOMETRY_COLUMNS = 11;
export const FINE_HEAD_BYTES = 28;
export const FINE_COLUMNS = 10;
export const SH_HEAD_BYTES = 8;
export const SPARSE_COLUMN = 128;
export const BASIS_HEAD_BYTES = 6;
export const COLUMN_BYTES_MAX = 8;
export const POSITION_BITS = 21;
export const SCALE_LOG_MIN = -30;
export const SCALE_LOG_MAX = 30;
export const ROTATION_BITS_MAX = 16;
export const OPACITY_BITS_MAX = 16;
export const MAX_FILE_BYTES = 1099511627776;
export const MAX_LAYERS = 64;
export const MAX_TILE_LEVEL = 16;
export const MAX_CHUNKS = 524288;
export const MAX_PAGES = 1024;
export const MAX_ROOT_PACKED_BYTES = 16320;
export const MAX_ROOT_RAW_BYTES = 131072;
export const MAX_POSTER_BYTES = 8192;
export const MAX_PAGE_RAW_BYTES = 1048576;
export const MAX_CHUNK_RAW_BYTES = 33554432;
export const MAX_WINDOW_BYTES = 8388608;
export const MAX_CHUNK_COUNT = 262144;
export const MAX_SCENE_COUNT = 268435456;
export const MAX_FREE_COUNT = 4096;
export const MAX_SH_CHUNKS = 8;
export const MAX_BASES = 64;
export const MAX_QUALITY_POINTS = 64;
export const MAX_TEXT_BYTES = 1024;
export const MAX_SH_DEGREE = 3;
export const MAX_NESTING = 16;
export const MAX_MAGNITUDE = 2 ** 99;
export const AMPLIFICATION_MIN = 0.0078125;
export const AMPLIFICATION_MAX = 128;
export const HEAD_BYTES = 16384;
export const PROTOCOL_VERSION = 1;
export const FRAME_HEAD_BYTES = 8;
export const CHUNK_HEAD_BYTES = 12;

export const FrameType = {
  HELLO: 1,
  WELCOME: 2,
  VIEW: 3,
  CREDIT: 4,
  CANCEL: 5,
  WANT: 6,
  CHUNK: 7,
  ERROR: 8,
  GOAWAY: 9,
} as const;

export const IGNORABLE_FRAME_TYPE = 128;

export const ErrorCode = {
  NONE: 0,
  PROTOCOL: 1,
  VERSION: 2,
  UNAUTHORIZED: 3,
  NOT_FOUND: 4,
  SCENE_CHANGED: 5,
  LIMIT: 6,
  CREDIT: 7,
  TIMEOUT: 8,
  SLOW_READER: 9,
  BUSY: 10,
  SHUTDOWN: 11,
  DAMAGED: 12,
  INTERNAL: 13,
} as const;

export const WEBSOCKET_CLOSE_BASE = 4000;
export const PAGE_PART_BIT = 2147483648;
export const MAX_FRAGMENT_BYTES = 16384;
export const MIN_FRAGMENT_BYTES = 1024;
export const MAX_HELLO_BYTES = 262144;
export const MAX_WELCOME_BYTES = 81920;
export const MAX_CONTROL_BYTES = 65536;
export const MAX_PART_LIST = 4096;
export const MAX_CREDIT_BYTES = 281474976710656;
export const MAX_VIEWPORT = 65536;
export const MAX_NAME_BYTES = 256;
export const MAX_TOKEN_BYTES = 4096;
export const MAX_MESSAGE_BYTES = 1024;
