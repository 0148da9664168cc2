// One scene on the whole page: poster, viewer, camera in the address. The rest is made once the first
// picture is there. All code is in one file, since a later request may fail.

import { ExgsViewer } from '@exgs/viewer';
import type { Boot } from '../boot_types.ts';
import { on } from '../events.ts';
import { cameraOf, hashOf, readParameters } from '../parameters.ts';
import { askToken, showTrouble } from '../trouble.ts';
import { embeddedUrl } from './embedded.ts';
import { showLate } from '../late.ts';
import { storedToken } from '../stored_token.ts';
import { installOpener } from './open.ts';
import type { ScenePage } from './page.ts';

const HASH_AFTER_MS = 400; // of rest

/** Shows the scene that the address names, or a file. */
export function showScene(boot: Boot, file: File | null = null): void {
  const parameters = readParameters(location.search);
  const opened = installOpener(boot, parameters);
  if (!customElements.get('exgs-viewer')) customElements.define('exgs-viewer', ExgsViewer);
  const viewer = new ExgsViewer();
  if (parameters.plain) viewer.setAttribute('noui', '');
  if (parameters.budget !== null) viewer.setAttribute('budget', `${parameters.budget}`);
  if (parameters.target) viewer.setAttribute('target', parameters.target);
  const camera = cameraOf(location.hash);
  if (camera) viewer.setAttribute('camera', camera);
  showPoster(parameters.poster);

  const page: ScenePage = {
    boot,
    parameters,
    viewer,
    opened,
    openFile: (chosen) => {
      document.title = `${chosen.name} - exgs`;
      viewer.removeAttribute('camera');
      viewer.load(chosen);
    },
    open: () => viewer.load(boot.data.embedded ? embeddedUrl() : boot.content),
  };
  viewer.addEventListener('firstpicture', () => {
    performance.mark('exgs:firstpicture');
    fadePoster();
    showLate(page);
  }, { once: true });
  for (const milestone of ['open', 'ready', 'complete']) {
    viewer.addEventListener(milestone, () => performance.mark(`exgs:${milestone}`));
  }
  on(viewer, 'open', ({ name }) => {
    if (name) document.title = `${name} - exgs`;
  });
  on(viewer, 'error', (error) => {
    void showTrouble(page, error);
  });
  keepCamera(viewer);
  document.body.classList.add('scene');
  document.getElementById('app')!.replaceChildren(viewer);
  takeKeyboard(viewer);
  performance.mark('exgs:start');

  if (file) page.openFile(file);
  else if (boot.data.token && !storedToken()) {
    void askToken(page.open);
  } else page.open();
}

/** Keys move the camera before anything has been clicked; in an iframe the outer page keeps them. */
function takeKeyboard(viewer: ExgsViewer): void {
  if (window !== window.top) return;
  const options = { preventScroll: true, focusVisible: false }; // no ring until a key is pressed
  viewer.focus(options);
}

/** The poster of the address, where the server has not put one into the page. */
function showPoster(url: string | null): void {
  if (!url || document.getElementById('poster')) return;
  const image = document.createElement('img');
  image.id = 'poster';
  image.alt = '';
  image.src = url;
  document.body.append(image);
}

function fadePoster(): void {
  const poster = document.getElementById('poster');
  if (!poster) return;
  poster.addEventListener('transitionend', () => poster.remove());
  poster.classList.add('gone');
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) poster.remove();
}

/** The address follows the camera once the user has moved it, and the camera follows the address. */
function keepCamera(viewer: ExgsViewer): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isMoved = false;
  const moved = (): void => {
    isMoved = true;
  };
  for (const type of ['pointerdown', 'wheel', 'keydown']) {
    viewer.addEventListener(type, moved, { passive: true });
  }
  viewer.addEventListener('camera', () => {
    if (!isMoved) return;
    clearTimeout(timer);
    timer = setTimeout(() => history.replaceState(null, '', hashOf(viewer.camera)), HASH_AFTER_MS);
  });
  window.addEventListener('hashchange', () => {
    const camera = cameraOf(location.hash);
    if (camera) viewer.setAttribute('camera', camera);
  });
}
