// The catalogue: a card with poster for each scene of the server.

import type { Boot, SceneEntry } from './boot_types.ts';
import { askForToken } from './dialog.ts';
import { make } from './dom.ts';
import { addDrop, chooseFile } from './drop.ts';
import { showScene } from './scene/show.ts';
import { storeToken, storedToken } from './stored_token.ts';
import { adoptStyles } from './styles.ts';
import { formatBytes, formatCount } from './text.ts';
import { fetchWorkersAhead } from './workers.ts';

const UNAUTHORIZED = 401;

/** Shows the scenes of the server. */
export async function showCatalogue(boot: Boot): Promise<void> {
  adoptStyles();
  const openFile = (file: File): void => {
    showScene(boot, file);
  };
  addDrop(openFile);
  const openButton = make('button', { type: 'button', className: 'open' }, 'Open a file …');
  openButton.addEventListener('click', () => chooseFile(openFile));
  const list = make('ul');
  const note = make('p', {}, 'Loading …');
  const header = make('header', {}, make('h1', {}, 'Scenes'), note, openButton);
  document.getElementById('app')!.replaceChildren(make('div', { className: 'catalogue' }, header, list));

  const scenes = boot.data.scenes ?? (await ask(boot, note));
  if (!scenes) return;
  const missing = boot.data.missing ? `There is no scene “${boot.data.missing}” here (any more). ` : '';
  note.textContent = `${missing}${scenes.length} ${scenes.length === 1 ? 'scene' : 'scenes'}. Or drop an .exgs file here.`;
  list.replaceChildren(...scenes.map(cardOf));
  if (scenes.length === 0) {
    const command = make('code', {}, 'exgs encode scene.ply scene.exgs');
    list.replaceWith(make('p', {}, 'There is no scene in this folder yet. ', command, ' makes one.'));
  }
  if (boot.data.token) await showPrivatePosters(list);
  fetchWorkersAhead();
}

/** The list from the server, with a token where it asks for one. */
async function ask(boot: Boot, note: HTMLElement): Promise<readonly SceneEntry[] | null> {
  for (let isWrong = false; ; isWrong = true) {
    if (boot.data.token && (isWrong || !storedToken())) {
      const token = await askForToken(isWrong);
      if (token === null) {
        note.textContent = 'This server asks for a token. Load the page again to give one.';
        return null;
      }
      storeToken(token);
    }
    try {
      const response = await fetch('/scenes', { headers: authorization() });
      if (response.status === UNAUTHORIZED && boot.data.token) continue;
      if (!response.ok) throw new Error(`the server answers ${response.status}`);
      return ((await response.json()) as { scenes: SceneEntry[] }).scenes;
    } catch (error) {
      note.textContent = `The list could not be loaded: ${(error as Error).message}. Load the page again.`;
      return null;
    }
  }
}

function cardOf(scene: SceneEntry): HTMLElement {
  const facts = `${formatBytes(scene.bytes)} · ${formatCount(scene.count)} Gaussians`;
  const rights = [scene.credit, scene.license].filter(Boolean).join(' · ');
  const picture = scene.poster
    ? make('img', { className: 'picture', alt: '', loading: 'lazy' })
    : make('div', { className: 'picture' });
  if (scene.poster && !storedToken()) (picture as HTMLImageElement).src = scene.poster;
  else if (scene.poster) picture.dataset['poster'] = scene.poster;
  const link = make('a', { href: scene.url.replace(/\.exgs$/, '/') }, picture);
  link.append(make('h2', {}, scene.name), make('p', {}, facts));
  if (rights) link.append(make('p', {}, rights));
  return make('li', {}, link);
}

/** Posters behind a token can't be named by an address alone. */
async function showPrivatePosters(list: HTMLElement): Promise<void> {
  for (const image of list.querySelectorAll<HTMLImageElement>('img[data-poster]')) {
    const response = await fetch(image.dataset['poster']!, { headers: authorization() });
    if (response.ok) image.src = URL.createObjectURL(await response.blob());
  }
}

function authorization(): Record<string, string> {
  const token = storedToken();
  return token ? { Authorization: `Bearer ${token}` } : {};
}
