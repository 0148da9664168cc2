// The worker: takes requests of the page, runs one session.

import { openOpfs } from '../disk/opfs.ts';
import type { Answer } from '../net/http.ts';
import type { Report, Request } from './messages.ts';
import { Session } from './session.ts';

const scope = globalThis as unknown as {
  postMessage(report: Report, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent<Request>) => void) | null;
  close(): void;
};

const reads = new Map<number, (data: Uint8Array | null, error: string) => void>();
let nextRead = 1;
let first: FirstAnswer | null = null;
let session: Session | null = null;

function report(message: Report, transfer: Transferable[] = []): void {
  scope.postMessage(message, transfer);
}

function read(offset: number, length: number): Promise<Uint8Array> {
  const id = nextRead++;
  return new Promise((resolve, reject) => {
    reads.set(id, (data, error) => (data ? resolve(data) : reject(new Error(error))));
    report({ type: 'read', id, offset, length });
  });
}

/** The answer to a request that the page made, as the page hands it on. */
class FirstAnswer {
  readonly answer: Promise<Answer>;
  private resolve: (answer: Answer) => void = () => {};
  private reject: (error: Error) => void = () => {};
  private control: ReadableStreamDefaultController<Uint8Array> | null = null;
  private readonly body = new ReadableStream<Uint8Array>({
    start: (control) => {
      this.control = control;
    },
  });

  constructor() {
    this.answer = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.answer.catch(() => {});
  }

  open(status: number, headers: Record<string, string>): void {
    const { body } = this;
    this.resolve({ status, header: (name) => headers[name.toLowerCase()] ?? null, body: iterate(body) });
  }

  data(data: Uint8Array): void {
    this.control?.enqueue(data);
  }

  end(failed: boolean): void {
    this.reject(new TypeError('the first request failed'));
    if (failed) this.control?.error(new TypeError('the first request failed'));
    else this.control?.close();
  }
}

async function* iterate(stream: ReadableStream<Uint8Array>): AsyncIterable<Uint8Array> {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

scope.onmessage = ({ data: request }) => {
  switch (request.type) {
    case 'open':
      first = request.hasFirst ? new FirstAnswer() : null;
      session = new Session(request, {
        report,
        read,
        first: first?.answer ?? null,
        disk: openOpfs,
      });
      void session.run();
      break;
    case 'first':
      first?.open(request.status, request.headers);
      break;
    case 'firstData':
      first?.data(request.data);
      break;
    case 'firstEnd':
      first?.end(request.failed);
      break;
    case 'range':
      reads.get(request.id)?.(request.data, request.error);
      reads.delete(request.id);
      break;
    case 'look':
      session?.look(request.view);
      break;
    case 'budget':
      session?.setBudget(request.budget);
      break;
    case 'rate':
      session?.setRate(request.rate);
      break;
    case 'taken':
      session?.taken();
      break;
    case 'online':
      session?.online();
      break;
    case 'dispose':
      session?.dispose();
      scope.close();
      break;
  }
};
