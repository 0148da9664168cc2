// The worker of one viewer: passes messages to the depot, and its results back.

import { Depot } from './depot.ts';
import type { Reply, Request } from './messages.ts';

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<Request>) => void) | null;
  postMessage(message: Reply, transfer: Transferable[]): void;
};

let depot = new Depot(0, 'half');

scope.onmessage = ({ data: request }) => {
  const began = performance.now();
  switch (request.type) {
    case 'open':
      depot = new Depot(request.shDegree, request.precision);
      break;
    case 'add': {
      const { key, spans, groups, children, data } = request;
      send({ ...depot.add(key, spans, groups, children, data), ms: performance.now() - began });
      break;
    }
    case 'refine': {
      const packed = depot.refine(request.key, request.data);
      if (packed) send({ ...packed, ms: performance.now() - began });
      break;
    }
    case 'drop':
      depot.drop(request.key);
      break;
    case 'activate':
      depot.activate(request.groups, request.active);
      break;
    case 'measure':
      send({ type: 'measured', ...depot.measure() });
      break;
    case 'sort': {
      const { order, count } = depot.sort(request.plane, request.into);
      const { serial } = request;
      send({ type: 'sorted', serial, order, count, ms: performance.now() - began });
      break;
    }
  }
};

function send(reply: Reply): void {
  const arrays: (Uint32Array | null)[] = [];
  if (reply.type === 'sorted') arrays.push(reply.order);
  if (reply.type === 'packed') arrays.push(reply.a, reply.b, reply.groups, reply.sh);
  scope.postMessage(reply, arrays.flatMap((array) => (array ? [array.buffer as ArrayBuffer] : [])));
}
