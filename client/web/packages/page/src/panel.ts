// The panel: bytes received, rate, estimated quality, and simulated slow links.

import type { ScenePage } from './scene/page.ts';
import { make } from './dom.ts';
import { on } from './events.ts';
import { estimatedPsnr } from './quality.ts';
import { RateMeter } from './rate.ts';
import { canSharpen, sharpen } from './sharpen.ts';
import { formatBytes, formatCount, formatFrames, formatRate } from './text.ts';

const EVERY_MS = 500;
const LINKS_MBIT = [0.25, 0.5, 1, 2, 5, 10, 50];
const BYTES_PER_MBIT = 125_000;

type Row = 'Received' | 'Rate' | 'Layer' | 'Gaussians' | 'Quality' | 'Frames';

export class Panel {
  readonly element: HTMLElement;
  onToggle: (isOpen: boolean) => void = () => {};
  readonly #page: ScenePage;
  readonly #cells = new Map<Row, HTMLElement>();
  readonly #meter = new RateMeter();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(page: ScenePage) {
    this.#page = page;
    const rows = make('dl');
    for (const row of ['Received', 'Rate', 'Layer', 'Gaussians', 'Quality', 'Frames'] as const) {
      const cell = make('dd', {}, '-');
      this.#cells.set(row, cell);
      rows.append(make('dt', {}, row), cell);
    }
    this.element = make('section', { className: 'panel', hidden: true, aria: { label: 'Panel' } });
    this.element.append(make('h2', {}, 'Progress'), rows, this.#linkChoice());
    if (canSharpen(page.boot.data)) this.element.append(this.#sharpenChoice());
    on(page.viewer, 'progress', ({ receivedBytes }) => {
      this.#meter.add(performance.now(), receivedBytes);
    });
  }

  /** Shows the panel, or hides it. */
  toggle(): void {
    const { element } = this;
    element.hidden = !element.hidden;
    clearInterval(this.#timer);
    if (!element.hidden) {
      this.#update();
      this.#timer = setInterval(() => this.#update(), EVERY_MS);
    }
    this.onToggle(!element.hidden);
  }

  #linkChoice(): HTMLElement {
    const { opened } = this.#page;
    const select = make('select');
    select.append(make('option', { value: 'Infinity' }, 'not limited'));
    for (const mbit of LINKS_MBIT) {
      const rate = mbit * BYTES_PER_MBIT;
      select.append(make('option', { value: `${rate}` }, formatRate(rate)));
    }
    select.value = `${opened.rate}`;
    select.addEventListener('change', () => {
      opened.rate = Number(select.value);
      opened.scene?.setRate(opened.rate);
    });
    return make('label', {}, 'Link', select);
  }

  #sharpenChoice(): HTMLElement {
    const { viewer, parameters } = this.#page;
    const box = make('input', { type: 'checkbox', checked: parameters.sharpen });
    box.addEventListener('change', async () => {
      box.checked = await sharpen(viewer, box.checked);
    });
    return make('label', { title: 'Sharpens soft pictures at rest' }, 'Sharpen', box);
  }

  #update(): void {
    const { viewer } = this.#page;
    const { stats, facts } = viewer;
    const progress = stats?.progress;
    if (!progress || !facts) return;
    const { receivedBytes, fileBytes, layer, splats } = progress;
    this.#say('Received', `${formatBytes(receivedBytes)} of ${formatBytes(fileBytes)}`);
    const rate = this.#meter.rate(performance.now());
    this.#say('Rate', progress.complete ? 'complete' : formatRate(rate));
    this.#say('Layer', layer < 0 ? 'none yet' : `${layer + 1} of ${facts.layers.length}`);
    this.#say('Gaussians', `${formatCount(splats)} of ${formatCount(facts.count)}`);
    const psnr = estimatedPsnr(facts.quality, Math.min(receivedBytes, fileBytes));
    this.#say('Quality', psnr === null ? '-' : `about ${psnr.toFixed(1)} dB`);
    this.#say('Frames', stats.frameMs > 0 ? `${formatFrames(stats.frameMs)} per s` : 'at rest');
  }

  #say(row: Row, text: string): void {
    const cell = this.#cells.get(row)!;
    if (cell.textContent !== text) cell.textContent = text;
  }
}

/** A line of figures over the picture. */
export function showMinistats({ viewer }: ScenePage): void {
  const line = make('p', { className: 'ministats', aria: { hidden: 'true' } });
  document.body.append(line);
  setInterval(() => {
    const { stats } = viewer;
    if (!stats) return;
    const frames = stats.frameMs > 0 ? `${formatFrames(stats.frameMs)} fps` : 'idle';
    const bytes = formatBytes(stats.progress?.receivedBytes ?? 0);
    line.textContent =
      `${frames} | ${formatCount(stats.splats)} splats | sort ${stats.sortMs.toFixed(0)} ms | ` +
      `GPU ${formatBytes(stats.gpuBytes)} | ${bytes}`;
  }, EVERY_MS);
}
