// A breach of the protocol by the other side (spec/protocol.md, section 9).

import { ErrorCode } from '../constants.ts';
import { DamagedError, ExgsError } from '../errors.ts';

/** What the server has done wrong; the exchange is over. */
export class ProtocolFault extends ExgsError {
  override name = 'ProtocolFault';

  constructor(
    message: string,
    readonly code: number = ErrorCode.PROTOCOL,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Whether a fault means that bytes were damaged on the way, and another connection may help. */
export function isDamage(error: unknown): error is ProtocolFault {
  return (
    error instanceof ProtocolFault &&
    error.code === ErrorCode.DAMAGED &&
    error.cause instanceof DamagedError
  );
}
