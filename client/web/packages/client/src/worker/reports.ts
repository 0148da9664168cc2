// What a report to the page takes with it: buffers that change hands, errors as plain values.

import { FormatError } from '../errors.ts';
import { StreamError } from '../net/errors.ts';
import type { SceneUpdate } from '../update.ts';
import type { SentError } from './messages.ts';

/** The buffers of an update's arrays: the page owns them afterwards. */
export function buffersOf({ added, refined }: SceneUpdate): Transferable[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { children } of added) buffers.add(children.buffer as ArrayBuffer);
  for (const { data } of [...added, ...refined]) {
    for (const array of Object.values(data) as (Float32Array | null)[]) {
      if (array) buffers.add(array.buffer as ArrayBuffer);
    }
  }
  return [...buffers];
}

/** An error as it travels to the page. */
export function sentError(error: unknown): SentError {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return {
    name,
    message,
    errorClass: error instanceof FormatError ? error.errorClass : null,
    status: error instanceof StreamError ? error.status : 0,
  };
}
