// MessagePack, written: what control frames need and no more.

/** What can be written. */
export type Writable =
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Writable[]
  | { readonly [key: string]: Writable };

const UTF8 = new TextEncoder();

/** `value` in MessagePack; whole numbers are written as integers. */
export function writeValue(value: Writable): Uint8Array {
  const bytes: number[] = [];
  write(value, bytes);
  return Uint8Array.from(bytes);
}

function write(value: Writable, out: number[]): void {
  if (typeof value === 'boolean') out.push(value ? 0xc3 : 0xc2);
  else if (typeof value === 'number') writeNumber(value, out);
  else if (typeof value === 'string') {
    const text = UTF8.encode(value);
    if (text.length < 32) out.push(0xa0 | text.length);
    else writeHead(0xd9, text.length, out);
    append(text, out);
  } else if (value instanceof Uint8Array) {
    writeHead(0xc4, value.length, out);
    append(value, out);
  } else if (Array.isArray(value)) {
    const list = value as readonly Writable[];
    if (list.length < 16) out.push(0x90 | list.length);
    else out.push(0xdc, list.length >> 8, list.length & 0xff);
    for (const item of list) write(item, out);
  } else {
    const entries = Object.entries(value);
    if (entries.length > 15) throw new RangeError('a map of more than 15 keys');
    out.push(0x80 | entries.length);
    for (const [key, item] of entries) {
      write(key, out);
      write(item, out);
    }
  }
}

function append(bytes: Uint8Array, out: number[]): void {
  for (const byte of bytes) out.push(byte);
}

/** A head whose length takes one, two or four bytes: three codes from `first` on. */
function writeHead(first: number, length: number, out: number[]): void {
  if (length < 256) out.push(first, length);
  else if (length < 65536) out.push(first + 1, length >> 8, length & 0xff);
  else out.push(first + 2, length >>> 24, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff);
}

function writeNumber(value: number, out: number[]): void {
  if (Number.isSafeInteger(value) && value >= 0) {
    if (value < 128) out.push(value);
    else {
      out.push(0xcf);
      const high = Math.floor(value / 2 ** 32);
      for (const word of [high, value % 2 ** 32]) {
        out.push(word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff);
      }
    }
    return;
  }
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  out.push(0xcb);
  append(new Uint8Array(view.buffer), out);
}
