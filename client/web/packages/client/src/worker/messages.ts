// Messages between the page and the worker.

import type { Budget } from '../flow/residency.ts';
import type { Poster, SceneFacts, SceneUpdate, View } from '../update.ts';

/** Where a scene comes from, as far as it can be sent to a worker. */
export type WorkerSource =
  | { readonly kind: 'http'; readonly url: string; readonly sendsIfMatch: boolean }
  | {
      readonly kind: 'stream';
      readonly url: string;
      readonly scene: string;
      /** The file itself: a stream has no poster. */
      readonly fileUrl: string;
      /** Whether ranges of the file may be read where no WebSocket can be opened. */
      readonly mayFallBack: boolean;
      readonly sendsIfMatch: boolean;
    }
  | { readonly kind: 'blob'; readonly blob: Blob }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'asked' };

/** Page to worker. */
export type Request =
  | {
      readonly type: 'open';
      readonly source: WorkerSource;
      readonly token: string | null;
      /** Name of the source in the cache on disk, null for no cache. */
      readonly cacheKey: string | null;
      readonly budget: Budget;
      readonly rate: number;
      /** Whether an answer to a request for the first bytes follows. */
      readonly hasFirst: boolean;
      readonly view: View | null;
    }
  | { readonly type: 'first'; readonly status: number; readonly headers: Record<string, string> }
  | { readonly type: 'firstData'; readonly data: Uint8Array }
  | { readonly type: 'firstEnd'; readonly failed: boolean }
  | { readonly type: 'range'; readonly id: number; readonly data: Uint8Array | null; readonly error: string }
  | { readonly type: 'look'; readonly view: View }
  | { readonly type: 'budget'; readonly budget: Budget }
  | { readonly type: 'rate'; readonly rate: number }
  | { readonly type: 'taken' }
  | { readonly type: 'online' }
  | { readonly type: 'dispose' };

/** An error as it travels. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  /** truncated, damaged, unsupported or limit for an error of the format. */
  readonly errorClass: string | null;
  /** HTTP status where that is the reason. */
  readonly status: number;
}

/** Worker to page. */
export type Report =
  | { readonly type: 'open'; readonly facts: SceneFacts }
  | { readonly type: 'poster'; readonly poster: Poster }
  | { readonly type: 'update'; readonly update: SceneUpdate }
  | { readonly type: 'damaged'; readonly section: string }
  | { readonly type: 'reconnecting'; readonly waitS: number; readonly reason: string }
  | { readonly type: 'changed' }
  | { readonly type: 'error'; readonly error: SentError }
  | { readonly type: 'read'; readonly id: number; readonly offset: number; readonly length: number };
