// The growing scene, for every transport: table, schedule, budget, decoder. Transports add parts whose
// hash they have checked; the worker takes updates.

import { ChunkKind } from '../constants.ts';
import type { FormatError } from '../errors.ts';
import { readPoster, type FileHead } from '../format/head.ts';
import { readPage } from '../format/page.ts';
import type { ChunkRow, ChunkRows, PageRow } from '../format/rows.ts';
import { ChunkTable } from '../format/table.ts';
import { SceneBuilder, type ChunkFault } from '../scene/builder.ts';
import type { Poster, Progress, SceneUpdate, View } from '../update.ts';
import { LayerZero } from './layer-zero.ts';
import { PartPlan } from './plan.ts';
import { NO_REVISION, Residency, type Budget, type Revision } from './residency.ts';
import { Scheduler } from './scheduler.ts';

/** Events of a receiver, besides updates. */
export interface Listener {
  opened(head: FileHead): void;
  poster(poster: Poster): void;
  /** A part failed its checks; it will be requested again. */
  damaged(section: string, error: FormatError | null): void;
  /** Something has arrived that may change what is drawn or wanted. */
  arrived(): void;
  /** Other chunks are to be fetched than before. */
  revised(revision: Revision): void;
}

/** One scene as it grows. */
export class Receiver {
  /** All bytes that have arrived, overhead and repetitions included. */
  receivedBytes = 0;
  head: FileHead | null = null;
  plan: PartPlan | null = null;
  scheduler: Scheduler | null = null;
  view: View | null = null;

  private builder: SceneBuilder | null = null;
  private layerZero: LayerZero | null = null;
  private readonly residency: Residency;
  private readonly got = new Set<number>(); // chunks that have arrived, dropped or not
  private lastProgress = '';

  constructor(
    budget: Budget,
    readonly listener: Listener,
  ) {
    this.residency = new Residency(budget);
  }

  /** Takes the head of the file; a second call, after a reconnection, changes nothing. */
  open(head: FileHead): void {
    if (this.head) return;
    this.head = head;
    this.plan = new PartPlan(head, new ChunkTable(head.root));
    this.scheduler = new Scheduler(this.plan);
    this.scheduler.setView(this.view);
    this.builder = new SceneBuilder(this.plan.table);
    this.layerZero = new LayerZero(head, this.plan.table.rows());
    this.listener.opened(head);
    this.leaveOutExtra(this.plan.table.rows());
    this.revise();
    this.listener.arrived();
  }

  /** Raises DamagedError. */
  async takePoster(bytes: Uint8Array): Promise<void> {
    const poster = this.head && (await readPoster(this.head, bytes));
    if (poster) this.listener.poster(poster);
  }

  /** A page whose hash has been checked; raises FormatError. */
  addPage(page: PageRow, packed: Uint8Array): ChunkRows {
    const rows = readPage(packed, page, this.opened.head.root.facts);
    this.opened.scheduler.addPage(page, rows);
    this.leaveOutExtra(rows.rows);
    this.revise();
    this.listener.arrived();
    return rows;
  }

  /** A chunk whose hash has been checked. Returns what failed further checks. */
  addChunk(row: ChunkRow, bytes: Uint8Array): ChunkFault[] {
    this.got.add(row.id);
    if (!this.residency.arrived(row.id)) return [];
    const faults = this.opened.builder.add(row, bytes);
    for (const fault of faults) this.got.delete(fault.row.id);
    const sketch = faults.length === 0 && this.layerZero?.add(row, bytes);
    if (sketch) this.opened.scheduler.setSketch(sketch);
    this.listener.arrived();
    return faults;
  }

  /** Looks from here from now on. */
  look(view: View | null): void {
    this.view = view;
    this.scheduler?.setView(view);
  }

  setBudget(budget: Budget): void {
    this.residency.budget = budget;
  }

  /** A new exchange, whose server knows of no cancels: all of them are sent again. */
  reviseAnew(): void {
    const { scheduler } = this;
    this.residency.forgetLeftOut();
    if (scheduler) {
      scheduler.want(scheduler.cancelledParts());
      this.leaveOutExtra(scheduler.plan.table.rows());
    }
    this.revise();
  }

  /** Makes room for what the view needs; chunks to be fetched again count as not received. */
  revise(): void {
    const { plan, scheduler, builder } = this;
    if (!plan || !scheduler || !builder) return;
    const revision = this.residency.revise(scheduler);
    const cells = new Map<number, ChunkRow>();
    for (const chunk of revision.drop) {
      const row = plan.table.row(chunk)!;
      cells.set(row.layer * 65536 + row.tile, row);
    }
    builder.drop(cells.values());
    for (const chunk of revision.fetchAgain) this.got.delete(chunk);
    scheduler.cancel(revision.leaveOut);
    scheduler.want(revision.takeIn);
    scheduler.want(revision.fetchAgain, true);
    if (revision !== NO_REVISION) this.listener.revised(revision);
  }

  /** Chunks of later versions are not requested, since nothing of them is drawn. */
  private leaveOutExtra(rows: Iterable<ChunkRow>): void {
    const leaveOut: number[] = [];
    for (const row of rows) if (row.kind === ChunkKind.EXTRA && !this.got.has(row.id)) leaveOut.push(row.id);
    if (leaveOut.length === 0) return;
    this.opened.scheduler.cancel(leaveOut);
    this.listener.revised({ ...NO_REVISION, leaveOut });
  }

  /** Whether a chunk has arrived, even if it has been dropped since. */
  has(chunk: number): boolean {
    return this.got.has(chunk);
  }

  /** Whether a chunk has not arrived, and the budget has room for it. */
  wants(chunk: number): boolean {
    return !this.got.has(chunk) && !this.residency.isMissing(chunk);
  }

  /** Whole chunks that have arrived. */
  get chunks(): ReadonlySet<number> {
    return this.got;
  }

  /** What has changed since the last call, with the progress; null where nothing has. */
  take(): SceneUpdate | null {
    if (!this.builder) return null;
    const change = this.builder.take();
    const progress = this.progress(this.builder);
    const said = JSON.stringify(progress);
    if (!change && said === this.lastProgress) return null;
    this.lastProgress = said;
    return { added: [], refined: [], dropped: [], groups: [], ...change, progress };
  }

  /** The scene is another one: an update that drops every part. */
  dropAll(): SceneUpdate | null {
    if (!this.builder) return null;
    const cells = new Map<string, ChunkRow>();
    for (const row of this.opened.plan.table.rows()) cells.set(`${row.layer}/${row.tile}`, row);
    this.builder.drop(cells.values());
    return this.take();
  }

  private progress(builder: SceneBuilder): Progress {
    const { head, scheduler } = this.opened;
    return {
      receivedBytes: this.receivedBytes,
      fileBytes: head.header.fileBytes,
      layer: builder.layer,
      splats: builder.splats,
      complete: this.isSettled,
      readyForView:
        builder.layer >= 0 &&
        scheduler.isReadyForView(
          (chunk) => builder.has(chunk) || this.residency.isMissing(chunk),
          this.residency.isFull,
        ),
    };
  }

  /** Whether everything has arrived that the budget allows. */
  get isSettled(): boolean {
    const { plan, builder, residency } = this;
    if (!plan || !builder) return false;
    for (const row of plan.table.rows()) {
      const isDue = row.kind !== ChunkKind.EXTRA && !builder.has(row.id);
      if (isDue && !residency.isMissing(row.id)) return false;
    }
    // A server keeps pages back that only chunks call for which are left out.
    return plan.table.isComplete || residency.isFull;
  }

  private get opened() {
    const { head, plan, scheduler, builder } = this;
    if (!head || !plan || !scheduler || !builder) throw new Error('no scene is open');
    return { head, plan, scheduler, builder };
  }
}
