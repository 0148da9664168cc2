// Weights of the network: a NumPy archive (.npz, not compressed) of half floats.

import { ViewerError } from '../errors.ts';

/** Values in the order of the array's axes, the last one fastest. */
export interface Weights {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

const [LOCAL, CENTRAL, END] = [0x04034b50, 0x02014b50, 0x06054b50];
const [END_BYTES, MAGIC_BYTES] = [22, 10];

/** The arrays of an archive by name. Throws ViewerError for anything but stored float16 arrays. */
export function readWeights(file: ArrayBuffer): Map<string, Weights> {
  const view = new DataView(file);
  const arrays = new Map<string, Weights>();
  const end = file.byteLength - END_BYTES;
  if (end < 0 || view.getUint32(end, true) !== END) throw fault('it is no archive');
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at, true) !== CENTRAL) throw fault('its list is damaged');
    if (view.getUint16(at + 10, true) !== 0) throw fault('it is compressed');
    const [nameBytes, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    const name = text(file, at + 46, nameBytes!);
    const local = view.getUint32(at + 42, true);
    if (view.getUint32(local, true) !== LOCAL) throw fault('an entry is damaged');
    const data = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    arrays.set(name.replace(/\.npy$/, ''), readArray(file, view, data));
    at += 46 + nameBytes! + extra! + comment!;
  }
  return arrays;
}

function readArray(file: ArrayBuffer, view: DataView, at: number): Weights {
  const length = view.getUint16(at + 8, true);
  const head = text(file, at + MAGIC_BYTES, length);
  const shape = /'shape': \(([^)]*)\)/.exec(head);
  if (!head.includes("'<f2'") || head.includes("'fortran_order': True") || !shape) {
    throw fault('an array is not of half floats');
  }
  const sizes = shape[1]!.split(',').filter((part) => part.trim()).map(Number);
  const count = sizes.reduce((product, size) => product * size, 1);
  const first = at + MAGIC_BYTES + length;
  const values = Float32Array.from({ length: count }, (_, i) => ofHalf(view.getUint16(first + 2 * i, true)));
  return { shape: sizes, values };
}

function ofHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

function text(file: ArrayBuffer, at: number, length: number): string {
  return String.fromCharCode(...new Uint8Array(file, at, length));
}

function fault(why: string): ViewerError {
  return new ViewerError('argument', `The weights for sharpening can't be read: ${why}.`);
}
