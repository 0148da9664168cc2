// A breach of the protocol by the other side (spec/protocol.md, section 9).

import { ErrorCode } from '../constants.ts';
import { ExgsError } from '../errors.ts';

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
