// What can go wrong between here and the server, by what the user or the page can do about it.

import { ExgsError } from '../errors.ts';

/** The scene cannot be received; the message contains the remedy. */
export class StreamError extends ExgsError {
  override name = 'StreamError';

  constructor(
    message: string,
    /** HTTP status, where that is the reason. */
    readonly status = 0,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The connection is gone; another one may do better. */
export class ConnectionLostError extends StreamError {
  override name = 'ConnectionLostError';

  constructor(
    message: string,
    /** Seconds that the server asks to wait. */
    readonly retryAfterS = 0,
    options?: ErrorOptions,
  ) {
    super(message, 0, options);
  }
}

/** The file on the server is another one: everything has to be dropped. */
export class SceneChangedError extends StreamError {
  override name = 'SceneChangedError';

  constructor() {
    super('the scene on the server has changed');
  }
}

/** What an HTTP status that brings nothing means. */
export function refusalOf(status: number, retryAfter: string | null): StreamError {
  const wait = Number(retryAfter);
  const retryAfterS = Number.isFinite(wait) && wait > 0 ? wait : 0;
  if (status === 429) return new ConnectionLostError('the server says: too many requests', retryAfterS);
  if (status >= 500) return new ConnectionLostError(`the server answers ${status}`, retryAfterS);
  const reasons: Readonly<Record<number, string>> = {
    401: 'the server asks for a token, or refuses the one that it was given',
    403: 'the server does not let this page or this scene in',
    404: 'there is no such scene on the server',
  };
  return new StreamError(reasons[status] ?? `the server answers ${status}`, status);
}
