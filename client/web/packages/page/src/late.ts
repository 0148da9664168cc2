// The page around the picture, made once the first picture is there: buttons, panel, sharing,
// recording, dropped files.

import type { ScenePage } from './scene/page.ts';
import { addDrop, chooseFile } from './drop.ts';
import { iconButton, make } from './dom.ts';
import { on } from './events.ts';
import { Panel, showMinistats } from './panel.ts';
import { Recorder } from './recorder.ts';
import { share } from './share.ts';
import { canSharpen, sharpen } from './sharpen.ts';
import { adoptStyles } from './styles.ts';

const ICONS = {
  panel: 'M4 20V10M10 20V4M16 20v-7M20 20H3',
  share: 'M12 15V3m0 0L8 7m4-4 4 4M5 12v8h14v-8',
  record: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z',
  open: 'M3 7h6l2 2h10v10H3ZM3 7V5h6',
  full: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
};

/** Shows all of it. */
export function showLate(page: ScenePage): void {
  const { viewer, parameters, boot } = page;
  adoptStyles();
  if (parameters.ministats) showMinistats(page);
  addDrop(page.openFile);
  if (parameters.sharpen && canSharpen(boot.data)) void sharpen(viewer, true);
  if (parameters.plain) return;

  const panel = new Panel(page);
  const panelButton = iconButton('Panel (G)', ICONS.panel, () => panel.toggle());
  panelButton.setAttribute('aria-expanded', 'false');
  panel.onToggle = (isOpen) => panelButton.setAttribute('aria-expanded', `${isOpen}`);
  viewer.addEventListener('panel', () => panel.toggle());

  const recorder = new Recorder(viewer);
  const recordButton = iconButton('Record the camera', ICONS.record, () => {
    const isOn = recorder.toggle();
    recordButton.setAttribute('aria-pressed', `${isOn}`);
    recordButton.title = isOn ? 'Stop, and download the camera path' : 'Record the camera';
    recordButton.setAttribute('aria-label', recordButton.title);
  });
  recordButton.setAttribute('aria-pressed', 'false');

  const right = make(
    'div',
    { className: 'bar right' },
    panelButton,
    iconButton('Share this view', ICONS.share, () => void share(viewer)),
    recordButton,
    iconButton('Open a file', ICONS.open, () => chooseFile(page.openFile)),
  );
  if (document.fullscreenEnabled) {
    right.append(iconButton('Full screen', ICONS.full, toggleFullscreen));
  }
  right.setAttribute('role', 'toolbar');
  right.setAttribute('aria-label', 'Page');
  const left = make('div', { className: 'bar left' });
  const isOwn = boot.data.scene !== undefined;
  if (isOwn) left.append(make('a', { href: '/', aria: { label: 'All scenes' } }, '← Scenes'));
  const heading = make('h1', {}, viewer.facts?.name || boot.data.scene?.name || boot.data.name || 'Scene');
  on(viewer, 'open', ({ name }) => {
    heading.textContent = name || 'Scene';
  });
  left.append(heading);
  document.getElementById('app')!.append(left, right, panel.element);
}

function toggleFullscreen(): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else void document.documentElement.requestFullscreen().catch(() => {});
}
