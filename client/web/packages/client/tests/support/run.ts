// Runs a session without a worker, and collects what it reports.

import { ShownScene } from '../../src/scene/shown.ts';
import type { Report, Request } from '../../src/worker/messages.ts';
import { Session, type Host } from '../../src/worker/session.ts';
import type { SceneUpdate } from '../../src/update.ts';

export type OpenRequest = Extract<Request, { type: 'open' }>;

export const NO_BUDGET = { splats: Infinity, bytes: Infinity };

/** A session under test. */
export class Run {
  readonly scene = new ShownScene();
  readonly reports: Report[] = [];
  readonly session: Session;
  progress: SceneUpdate['progress'] | null = null;
  private readonly done: Promise<void>;
  private watchers: (() => void)[] = [];

  constructor(request: Partial<OpenRequest> & Pick<OpenRequest, 'source'>, host: Partial<Host> = {}) {
    this.session = new Session(
      {
        type: 'open',
        token: null,
        cacheKey: null,
        budget: NO_BUDGET,
        rate: Infinity,
        hasFirst: false,
        view: null,
        ...request,
      },
      {
        report: (report) => this.take(report),
        read: () => Promise.reject(new Error('there is nothing to read')),
        first: null,
        disk: () => Promise.resolve(null),
        ...host,
      },
    );
    this.done = this.session.run();
  }

  /** Waits until `condition` holds. */
  async until(condition: (run: Run) => boolean, timeoutMs = 20_000): Promise<void> {
    const endsAt = performance.now() + timeoutMs;
    while (!condition(this)) {
      if (performance.now() > endsAt) {
        throw new Error(`nothing came: ${JSON.stringify(this.reports.map(({ type }) => type))}`);
      }
      await new Promise<void>((resolve) => {
        this.watchers.push(resolve);
        setTimeout(resolve, 50);
      });
    }
  }

  get types(): string[] {
    return this.reports.map(({ type }) => type);
  }

  /** Waits until all is here; raises the error that a session ends with. */
  async complete(): Promise<void> {
    await this.until((run) => run.progress?.complete === true || run.types.includes('error'));
    const failed = this.reports.find((report) => report.type === 'error');
    if (failed) throw new Error(failed.error.message);
  }

  async dispose(): Promise<void> {
    this.session.dispose();
    await this.done;
  }

  private take(report: Report): void {
    this.reports.push(report);
    if (report.type === 'update') {
      this.scene.apply(report.update);
      this.progress = report.update.progress;
      setTimeout(() => this.session.taken(), 0);
    }
    for (const watcher of this.watchers.splice(0)) watcher();
  }
}
