// The element in Chromium, with a source that plays a dumped scene. Prints what holds and what does not.
//   node run.mjs FOLDER NAME   (FOLDER as pictures/dump.py left it); screenshots go to FOLDER/element/

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, serve } from '../browser.mjs';

const [folder, name] = process.argv.slice(2);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const out = path.join(folder, 'element');
fs.mkdirSync(out, { recursive: true });
const server = await serve(root, path.resolve(folder));
const { context, close } = await launch();
const page = await context.newPage();
const messages = [];
page.on('console', (message) => {
  if (message.type() !== 'debug' && !message.text().includes('ReadPixels')) messages.push(message.text());
});
page.on('pageerror', (error) => messages.push(String(error)));
await page.goto(`${server.url}/tests/element/index.html`);
await page.waitForFunction(() => 'FakeSource' in window);

let [passed, failed] = [0, 0];
const check = (what, holds, more = '') => {
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what} ${holds ? '' : more}`);
  if (holds) passed++;
  else failed++;
};
const wait = (ms) => page.waitForTimeout(ms);
const shot = (file) => page.screenshot({ path: path.join(out, `${file}.png`) });
const camera = () => page.evaluate(() => window.viewer.camera);
const changed = (from, timeout = 20_000) =>
  page.waitForFunction((it) => window.viewer.camera !== it, from, { timeout }).catch(() => {});
/** The camera once it rests: the same twice in a row. */
const rested = async () => {
  for (let last = await camera(); ; ) {
    await wait(500);
    const next = await camera();
    if (next === last) return next;
    last = next;
  }
};
const PLACES = [[300, 250], [340, 220], [270, 200], [320, 180]];
/** Acts at one place after the other until the camera changes: in a gap of the thinned scene nothing is picked. */
const picked = async (from, act) => {
  for (const [x, y] of PLACES) {
    await act(x, y);
    await changed(from, 5000);
    if ((await camera()) !== from) break;
  }
  return camera();
};
const heard = (event) =>
  page.waitForFunction((it) => window.heard.includes(it), event, { timeout: 60_000 });

// Poster, first picture, replacing, complete
await page.evaluate(async (url) => {
  window.scene = await window.fetchScene(url);
  window.viewer = document.querySelector('exgs-viewer');
  window.note(window.viewer);
  window.source = new window.FakeSource(window.scene, 4);
  window.viewer.load(window.source);
  window.source.open();
  await window.source.poster();
}, `/data/${name}`);
await wait(300);
check('the poster is there before any splat', await page.evaluate(() => window.viewer.shadowRoot.querySelector('canvas.poster') !== null));
await shot('1-poster');
await page.evaluate(() => window.source.proxies());
await heard('firstpicture');
await wait(1500);
check('the poster goes', await page.evaluate(() => window.viewer.shadowRoot.querySelector('.poster') === null));
await shot('2-proxies');

// Brightness while leaves replace proxies: no hole, no jump
const fade = await page.evaluate(async () => {
  const { clock, counts, viewer, source } = window;
  viewer.look(viewer.camera);
  clock.tickMs = 16;
  counts.recording = true;
  await viewer.snapshot();
  source.leaves(0, false);
  source.leaves(1, true);
  let still = 0;
  for (let last = -1; still < 5; still = counts.frames.length === last ? still + 1 : 0) {
    last = counts.frames.length;
    await new Promise((resolve) => setTimeout(resolve, 400));
  }
  counts.recording = false;
  clock.tickMs = null;
  const { frames } = counts;
  const rms = (a, b) => Math.sqrt(a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0) / a.length) / 255;
  const mean = (a) => a.reduce((sum, v) => sum + v, 0) / a.length / 255;
  const steps = frames.slice(1).map((frame, i) => rms(frame, frames[i]));
  return { steps, whole: rms(frames[0], frames.at(-1)), means: frames.map(mean) };
});
console.log(`     fade: ${fade.steps.length} frames, greatest step ${(Math.max(...fade.steps) / fade.whole).toFixed(2)} of the whole`);
const [low, high] = [Math.min(...fade.means), Math.max(...fade.means)];
const ends = [fade.means[0], fade.means.at(-1)];
// Opacities move by a fifth at most from one frame to the next; where splats are dense, pixels move by more
check('a fade takes five steps or more', Math.max(...fade.steps) <= 0.5 * fade.whole && fade.steps.filter((s) => s > 0).length >= 5, JSON.stringify(fade));
check('no frame is darker or brighter than both ends', low >= Math.min(...ends) - 0.004 && high <= Math.max(...ends) + 0.004, JSON.stringify(fade.means));
await page.evaluate(() => {
  window.source.leaves(2, true);
  window.source.leaves(3, true);
});
await heard('complete');
await shot('3-complete');
check('events come in order', (await page.evaluate(() => window.heard.join(' '))) === 'open firstpicture ready complete', await page.evaluate(() => window.heard.join(' ')));
check('the client is told the view', await page.evaluate(() => window.source.looks.length > 0));

// Nothing is drawn at rest, nor off the screen
await wait(500);
const idle = await page.evaluate(async () => {
  const before = window.counts.triangles;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  return window.counts.triangles - before;
});
check('nothing is drawn at rest', idle === 0, `${idle} draws`);
const off = await page.evaluate(async () => {
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  window.viewer.style.marginTop = '3000px';
  await sleep(300);
  const before = window.counts.triangles;
  window.viewer.look(window.viewer.camera.replace(/^[^,]*/, '0.1'));
  await sleep(600);
  const drawn = window.counts.triangles - before;
  window.viewer.style.marginTop = '';
  await sleep(1500);
  return { drawn, after: window.counts.triangles - before };
});
check('nothing is drawn off the screen, and what changed is drawn then', off.drawn === 0 && off.after > 0, JSON.stringify(off));

// Pointer and keys
const home = await camera();
await page.mouse.move(320, 180);
await page.mouse.down();
await page.mouse.move(350, 190, { steps: 8 });
await page.mouse.up();
const orbited = await rested();
check('dragging orbits', orbited !== home);
await shot('4-orbited');
const clicked = await picked(orbited, (x, y) => page.mouse.click(x, y));
const part = (text, first, end) => text.split(',').slice(first, end).join();
check('a click sets the focus and moves nothing', part(clicked, 3, 6) !== part(orbited, 3, 6) && part(clicked, 0, 3) === part(orbited, 0, 3), `${orbited} -> ${clicked}`);
await page.mouse.wheel(0, -200);
await changed(clicked);
const zoomed = await rested();
check('the wheel zooms', part(zoomed, 0, 3) !== part(clicked, 0, 3));
await picked(zoomed, (x, y) => page.mouse.dblclick(x, y));
await wait(3000);
check('a double click flies there', part(await camera(), 0, 3) !== part(zoomed, 0, 3));
await shot('5-approached');
// Fingers, as Chromium's own input makes pointer events of them
const devtools = await context.newCDPSession(page);
const touch = (type, ...points) =>
  devtools.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
const STEPS = 8;
/** Moves fingers from where they are put down to where they are lifted. */
const slide = async (...fingers) => {
  await touch('touchStart', ...fingers.map(([from]) => from));
  for (let step = 1; step <= STEPS; step++) {
    const at = (from, to) => from.map((value, i) => value + (step / STEPS) * (to[i] - value));
    await touch('touchMove', ...fingers.map(([from, to]) => at(from, to)));
    await wait(30);
  }
  await touch('touchEnd');
  await wait(1500);
};
const pose = async () => {
  const values = (await camera()).split(',').map(Number);
  const [eye, focus] = [values.slice(0, 3), values.slice(3, 6)];
  return { eye, focus, away: Math.hypot(...eye.map((value, i) => value - focus[i])), moved: (other) => Math.hypot(...focus.map((value, i) => value - other.focus[i])) };
};
const still = await pose();
await slide([[300, 180], [360, 190]]);
const turned = await pose();
check('one finger orbits', Math.abs(turned.away / still.away - 1) < 1e-3 && turned.moved(still) < 1e-3 * still.away && turned.eye.join() !== still.eye.join(), JSON.stringify([still, turned]));
await slide([[300, 180], [240, 180]], [[340, 180], [400, 180]]);
const pinched = await pose();
check('a pinch outwards nears the focus', pinched.away < 0.8 * turned.away, JSON.stringify([turned, pinched]));
await slide([[240, 180], [300, 180]], [[400, 180], [340, 180]]);
const parted = await pose();
check('a pinch inwards goes back', parted.away > 1.2 * pinched.away, JSON.stringify([pinched, parted]));
await slide([[280, 150], [320, 190]], [[340, 150], [380, 190]]);
const panned = await pose();
check('two fingers side by side pan', Math.abs(panned.away / parted.away - 1) < 0.02 && panned.moved(parted) > 0.01 * parted.away, JSON.stringify([parted, panned]));
const untapped = await camera();
const tapped = await picked(untapped, async (x, y) => {
  await touch('touchStart', [x, y]);
  await touch('touchEnd');
});
check('a tap sets the focus and moves nothing', part(tapped, 3, 6) !== part(untapped, 3, 6) && part(tapped, 0, 3) === part(untapped, 0, 3));
await shot('5-touched');

await page.keyboard.press('2');
check('2 flies', (await page.evaluate(() => window.viewer.mode)) === 'fly');
const before = await camera();
await page.keyboard.down('w');
await wait(800);
await page.keyboard.up('w');
await wait(800);
check('W goes forward', (await camera()) !== before);
await page.keyboard.press('1');
await page.keyboard.press('h');
await wait(200);
check('H opens the help', await page.evaluate(() => !window.viewer.shadowRoot.querySelector('.help').hidden));
await shot('6-help');
await page.keyboard.press('Escape');
check('Esc closes it', await page.evaluate(() => window.viewer.shadowRoot.querySelector('.help').hidden));
await page.keyboard.press('g');
check('G asks for the panel', await page.evaluate(() => window.heard.includes('panel')));
await page.keyboard.press('r');
await wait(4000);
await shot('7-reset');
await page.keyboard.press('f');
await wait(4000);
await shot('8-framed');

// Links, snapshot
const round = await page.evaluate(() => {
  const text = window.viewer.camera;
  window.viewer.look('0,0,-3,0,0,0,50');
  const other = window.viewer.camera;
  window.viewer.look(text);
  return [text, other, window.viewer.camera];
});
check('a camera comes back from its text', round[0] === round[2] && round[1] !== round[0], round.join(' | '));
const blob = await page.evaluate(async () => (await window.viewer.snapshot()).size);
check('a snapshot is a picture', blob > 5000, `${blob} bytes`);

// Context loss: what can be opened again is; the camera stays
const lost = await page.evaluate(async () => {
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const gl = window.viewer.shadowRoot.querySelector('canvas').getContext('webgl2');
  const extension = gl.getExtension('WEBGL_lose_context');
  extension.loseContext();
  await sleep(300);
  const disposed = window.source.disposed;
  extension.restoreContext();
  await sleep(500);
  window.source = new window.FakeSource(window.scene, 2);
  window.heard.length = 0;
  window.viewer.load(window.source);
  window.source.open();
  window.source.proxies();
  window.source.leaves(0, true);
  window.source.leaves(1, true);
  return { disposed };
});
check('losing the context lets the source go', lost.disposed);
await heard('complete');
await shot('9-restored');
check('the scene is drawn again after that', await page.evaluate(() => window.viewer.stats.splats > 0));

// The same for an address: the element opens it again on its own, and keeps the camera
const reloaded = await page.evaluate(async () => {
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const { viewer, heard } = window;
  const opened = [];
  window.setOpener((from, options) => {
    opened.push({ from, hasFirst: 'first' in options });
    const source = new window.FakeSource(window.scene, 1);
    setTimeout(() => {
      source.open();
      source.proxies();
      source.leaves(0, true);
    });
    return source;
  });
  const complete = async () => {
    while (!heard.includes('complete')) await sleep(50);
  };
  heard.length = 0;
  viewer.load('scene.exgs', { first: Promise.resolve(null) });
  await complete();
  viewer.look('0.2,-0.3,-3,0,0,0,50');
  await sleep(500);
  const before = viewer.camera;
  const gl = viewer.shadowRoot.querySelector('canvas:not(.poster)').getContext('webgl2');
  const extension = gl.getExtension('WEBGL_lose_context');
  heard.length = 0;
  extension.loseContext();
  await sleep(300);
  const said = viewer.shadowRoot.querySelector('.status').textContent;
  extension.restoreContext();
  await complete();
  return { opened, said, before, after: viewer.camera, heard: [...heard], splats: viewer.stats.splats };
});
check('the loss is said', reloaded.said.includes('was reset'), reloaded.said);
check('an address is opened again, without the answer that was used up', reloaded.opened.length === 2 && reloaded.opened[0].from === reloaded.opened[1].from && reloaded.opened[0].hasFirst && !reloaded.opened[1].hasFirst, JSON.stringify(reloaded.opened));
check('the camera stays, the picture is there', reloaded.before === reloaded.after && reloaded.splats > 0 && reloaded.heard.includes('firstpicture'), JSON.stringify(reloaded));

// Two viewers; disposal
await page.setViewportSize({ width: 640, height: 720 });
const two = await page.evaluate(async () => {
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const second = document.createElement('exgs-viewer');
  second.setAttribute('noui', '');
  document.querySelector('main').append(second);
  const source = new window.FakeSource(window.scene, 1);
  second.load(source);
  source.open();
  source.proxies();
  source.leaves(0, true);
  while (!second.stats?.progress?.complete || second.stats.splats === 0) await sleep(100);
  await sleep(3000);
  return second.stats;
});
await shot('10-two');
check('two viewers draw side by side', two.splats > 0);
const gone = await page.evaluate(async () => {
  const viewer = document.querySelectorAll('exgs-viewer')[1];
  viewer.dispose();
  viewer.remove();
  window.viewer.remove();
  await new Promise((resolve) => setTimeout(resolve, 300));
  return { disposed: window.source.disposed, stats: window.viewer.stats };
});
check('a viewer that is removed lets everything go', gone.disposed && gone.stats === null);
const missing = await page.evaluate(async () => {
  HTMLCanvasElement.prototype.getContext = () => null;
  const viewer = document.createElement('exgs-viewer');
  window.note(viewer);
  document.querySelector('main').append(viewer);
  viewer.load(new window.FakeSource(window.scene, 1));
  return viewer.shadowRoot.querySelector('.status').textContent;
});
check('a browser without WebGL 2 is told', missing.includes('WebGL 2'));
await shot('11-no-webgl');

check('the console stays empty', messages.length === 0, messages.join('\n     '));
await close();
await server.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
