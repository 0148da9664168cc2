// One HTTP answer, wherever it comes from: fetch, or a request that the page made before this code
// ran. And the checks of its headers against the file (spec/protocol.md, section 3).

import { SceneChangedError, StreamError, refusalOf } from './errors.ts';

/** An answer whose head is here. */
export interface Answer {
  readonly status: number;
  header(name: string): string | null;
  /** The body as it arrives; leaving the loop early cancels it. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** What to ask for. */
export interface Query {
  /** Byte range, `last` included. */
  readonly first: number;
  readonly last: number;
  /** Strong tag that the file must have. */
  readonly ifMatch: string | null;
  /** Past all caches. */
  readonly isFresh: boolean;
  readonly signal: AbortSignal;
}

/** Asks a server for a range of the file; raises TypeError where there is no connection. */
export type HttpGet = (query: Query) => Promise<Answer>;

const CONTENT_RANGE = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/;

/** `HttpGet` for a URL by fetch. */
export function fetchFrom(url: string, token: string | null): HttpGet {
  return async ({ first, last, ifMatch, isFresh, signal }) => {
    const headers: Record<string, string> = { Range: `bytes=${first}-${last}` };
    if (ifMatch !== null) headers['If-Match'] = ifMatch;
    if (token !== null) headers.Authorization = `Bearer ${token}`;
    const cache = isFresh ? 'reload' : 'default';
    const response = await fetch(url, { headers, cache, signal, credentials: 'same-origin' });
    return answerOf(response);
  };
}

/** A Response of fetch. */
export function answerOf(response: Response): Answer {
  return {
    status: response.status,
    header: (name) => response.headers.get(name),
    body: streamOf(response),
  };
}

async function* streamOf(response: Response): AsyncIterable<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  let isOver = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      isOver = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!isOver) await reader.cancel().catch(() => {});
  }
}

/** Holds answers about one file against each other. */
export class AnswerChecks {
  /** Strong tag of the file, null where there is none or none may be read. */
  etag: string | null = null;
  private fileBytes: number | null = null;
  private isBegun = false;

  /**
   * Checks the head of an answer to a request for bytes from `first` on. Raises StreamError where
   * it brings nothing of use, SceneChangedError where it is of another file.
   */
  check(answer: Answer, first: number): void {
    const { status } = answer;
    if (status === 412) throw new SceneChangedError();
    if (status !== 200 && status !== 206 && status !== 416) {
      throw refusalOf(status, answer.header('Retry-After'));
    }
    const found = CONTENT_RANGE.exec(answer.header('Content-Range') ?? '');
    const start = found?.[1];
    const size = status === 200 ? answer.header('Content-Length') : found?.[2];
    const isEncoded = (answer.header('Content-Encoding') ?? 'identity') !== 'identity';
    const fileBytes = size && size !== '*' && !isEncoded ? Number(size) : null;
    const tag = answer.header('ETag');
    const etag = tag?.startsWith('"') ? tag : null; // a weak one does not name the bytes
    if (differ(etag, this.etag) || differ(fileBytes, this.fileBytes)) throw new SceneChangedError();
    if (status === 416) {
      throw fileBytes === null
        ? new SceneChangedError()
        : new StreamError(
            `the file on the server ends at byte ${fileBytes}, before it is complete; upload it again`,
            status,
          );
    }
    // Across origins Content-Range may be hidden; then the hashes of the parts show it.
    if (status === 206 && start !== undefined && Number(start) !== first) {
      if (this.isBegun) throw new SceneChangedError();
      throw new StreamError('the server sends another range than it was asked for', status);
    }
    this.isBegun = true;
    this.etag ??= etag;
    this.fileBytes ??= fileBytes;
  }
}

function differ(told: string | number | null, known: string | number | null): boolean {
  return told !== null && known !== null && told !== known;
}
