// A receiver that nobody watches.

import { Receiver, type Listener } from '../../src/flow/receiver.ts';
import type { Budget } from '../../src/flow/residency.ts';

export const NO_LIMIT: Budget = { splats: Infinity, bytes: Infinity };

export function quietReceiver(listener: Partial<Listener> = {}, budget = NO_LIMIT): Receiver {
  return new Receiver(budget, {
    opened: () => {},
    poster: () => {},
    damaged: () => {},
    arrived: () => {},
    revised: () => {},
    ...listener,
  });
}
