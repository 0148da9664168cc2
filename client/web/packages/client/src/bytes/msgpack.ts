// MessagePack, read strictly: one map, string keys, none twice, UTF-8, a bounded depth, no bytes
// behind. `MessagePackError` describes the fault; callers convert it to their own class of error.

const MAX_DEPTH = 16; // maps and lists within each other, the outermost included

/** What MessagePack can hold; integers beyond 2^53 are bigint, extensions are `Extension`. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | Float
  | string
  | Uint8Array
  | Extension
  | readonly Value[]
  | ValueMap;

/** A map of MessagePack. */
export type ValueMap = ReadonlyMap<string, Value>;

/** A number that was coded as a float, kept apart from integers. */
export class Float {
  constructor(readonly value: number) {}
}

/** An extension type: kept only to be distinguished from other values. */
export class Extension {
  constructor(readonly type: number) {}
}

/** What breaks the rules of MessagePack or of this reader. */
export class MessagePackError extends Error {
  override name = 'MessagePackError';
}

/** The map that `bytes` hold, and nothing behind it; raises MessagePackError. */
export function readMap(bytes: Uint8Array): ValueMap {
  const reader = new Reader(bytes);
  const value = reader.value(MAX_DEPTH);
  if (!(value instanceof Map)) throw new MessagePackError('not a map');
  if (reader.position !== bytes.length) {
    throw new MessagePackError(`${bytes.length - reader.position} bytes behind the map`);
  }
  return value;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

class Reader {
  position = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(depth: number): Value {
    const head = this.uint(1);
    if (head <= 0x7f) return head;
    if (head <= 0x8f) return this.map(head & 0x0f, depth);
    if (head <= 0x9f) return this.list(head & 0x0f, depth);
    if (head <= 0xbf) return this.text(head & 0x1f);
    if (head >= 0xe0) return head - 0x100;
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.take(this.uint(1 << (head - 0xc4)));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.extension(this.uint(1 << (head - 0xc7)));
      case 0xca:
        return new Float(this.view.getFloat32(this.skip(4)));
      case 0xcb:
        return new Float(this.view.getFloat64(this.skip(8)));
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.uint(1 << (head - 0xcc));
      case 0xcf:
        return safe(this.view.getBigUint64(this.skip(8)));
      case 0xd0:
        return this.view.getInt8(this.skip(1));
      case 0xd1:
        return this.view.getInt16(this.skip(2));
      case 0xd2:
        return this.view.getInt32(this.skip(4));
      case 0xd3:
        return safe(this.view.getBigInt64(this.skip(8)));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.extension(1 << (head - 0xd4));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.text(this.uint(1 << (head - 0xd9)));
      case 0xdc:
      case 0xdd:
        return this.list(this.uint(2 << (head - 0xdc)), depth);
      case 0xde:
      case 0xdf:
        return this.map(this.uint(2 << (head - 0xde)), depth);
      default:
        throw new MessagePackError(`byte 0x${head.toString(16)} begins no value`);
    }
  }

  private map(count: number, depth: number): ValueMap {
    this.enter(count * 2, depth);
    const map = new Map<string, Value>();
    for (let i = 0; i < count; i++) {
      const key = this.value(depth - 1);
      if (typeof key !== 'string') throw new MessagePackError('a key is not a string');
      if (map.has(key)) throw new MessagePackError('a key stands twice in a map');
      map.set(key, this.value(depth - 1));
    }
    return map;
  }

  private list(count: number, depth: number): readonly Value[] {
    this.enter(count, depth);
    const list: Value[] = [];
    for (let i = 0; i < count; i++) list.push(this.value(depth - 1));
    return list;
  }

  private enter(values: number, depth: number): void {
    if (depth === 0) throw new MessagePackError(`maps and lists lie more than ${MAX_DEPTH} deep`);
    if (values > this.bytes.length - this.position) throw new MessagePackError('the bytes end');
  }

  private text(length: number): string {
    try {
      return UTF8.decode(this.take(length));
    } catch (error) {
      if (error instanceof MessagePackError) throw error;
      throw new MessagePackError('a string is not UTF-8');
    }
  }

  private extension(length: number): Extension {
    const type = this.view.getInt8(this.skip(1));
    this.skip(length);
    return new Extension(type);
  }

  private take(length: number): Uint8Array {
    const start = this.skip(length);
    return this.bytes.subarray(start, start + length);
  }

  private uint(length: number): number {
    const start = this.skip(length);
    let value = 0;
    for (let i = 0; i < length; i++) value = value * 256 + (this.bytes[start + i] ?? 0);
    return value;
  }

  private skip(length: number): number {
    const start = this.position;
    if (length > this.bytes.length - start) throw new MessagePackError('the bytes end');
    this.position = start + length;
    return start;
  }
}

function safe(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
