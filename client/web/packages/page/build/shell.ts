// The Vite plugin of the page: fills index.html, gives code its place, packs it, and holds what comes
// before the first picture to its budget.

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Plugin, Rolldown } from 'vite';
import { bundle } from './bundle.ts';
import { fill, inline, styles } from './html.ts';
import { gzip, packFile, packFolder } from './pack.ts';

const WEIGHTS = path.resolve(import.meta.dirname, '../../../../exgs/painter/weights/detail.npz');
const MOST_BYTES = 80_000; // gzip, of all code before the first picture

export interface Places {
  readonly page: string; // the folder of this package
  readonly out: string; // where the built page goes
}

/** The code beside the page's: of both workers and of sharpening; and what the page's calls their places. */
export interface Workers {
  readonly client: string;
  readonly sort: string;
  readonly sharpen: string;
  readonly define: Record<string, string>;
}

/** Bundles the workers. In a single file they are elements of the page, else files of their own. */
export async function makeWorkers({ page }: Places, isSingle: boolean): Promise<Workers> {
  const entry = (file: string): string => path.resolve(page, '..', file);
  const client = await bundle(entry('client/src/worker/entry.ts'), { format: 'es' });
  const sort = await bundle(entry('viewer/src/sort/worker.ts'), { format: 'es' });
  const weights = fs.readFileSync(WEIGHTS).toString('base64');
  const sharpen = await bundle(path.join(page, 'src/sharpen_code.ts'), {
    format: 'es',
    define: { SHARPEN_WEIGHTS: JSON.stringify(weights) },
  });
  const place = (name: string, code: string): string =>
    JSON.stringify(isSingle ? `#exgs-${name}` : `/assets/${fileOf(name, code)}`);
  const define = {
    CLIENT_WORKER: place('client', client),
    SORT_WORKER: place('sort', sort),
    SHARPEN_CODE: JSON.stringify(`/assets/${fileOf('sharpen', sharpen)}`),
  };
  return { client, sort, sharpen, define };
}

/** Has the packages' own ways to start a worker lead to ours, so that none is bundled twice. */
export function ownWorkers({ define }: Workers): Plugin {
  const starts = [
    ['/client/src/open.ts', "new URL('./worker/entry.ts', import.meta.url)", define['CLIENT_WORKER']!],
    ['/viewer/src/sort/create.ts', "new URL('./worker.ts', import.meta.url)", define['SORT_WORKER']!],
  ] as const;
  return {
    name: 'exgs-own-workers',
    enforce: 'pre',
    transform(code, id) {
      const found = starts.find(([file]) => id.endsWith(file));
      if (!found) return null;
      const [file, start, place] = found;
      if (!code.includes(start)) throw new Error(`${file} starts its worker in another way than known`);
      return code.replace(start, place);
    },
  };
}

/** Writes the page as files that a server hands out. */
export function shell(places: Places, workers: Workers): Plugin {
  return {
    name: 'exgs-shell',
    transformIndexHtml: {
      order: 'post',
      handler: (html) => fillShell(html, places, workers),
    },
    generateBundle() {
      const emit = (name: string, source: string): void => {
        this.emitFile({ type: 'asset', fileName: `assets/${fileOf(name, source)}`, source });
      };
      emit('client', workers.client);
      emit('sort', workers.sort);
      emit('sharpen', workers.sharpen);
    },
    writeBundle(_options, output) {
      weigh(output, places, workers);
      packFolder(path.join(places.out, 'assets'));
    },
  };
}

/** Names the code of the workers for a file that holds all of it. */
export function codeOf({ client, sort }: Workers): Record<string, string> {
  return { CLIENT_CODE: JSON.stringify(client), SORT_CODE: JSON.stringify(sort) };
}

/** Packs the file for pages of others beside itself. */
export function packEmbed({ out }: Places): Plugin {
  return { name: 'exgs-pack-embed', writeBundle: () => packFile(path.join(out, 'exgs-viewer.js')) };
}

/** Writes the page as one file: what a server hands out at a first visit, and a template for `exgs export`. */
export function singleShell(places: Places, workers: Workers): Plugin {
  return {
    name: 'exgs-single-shell',
    transformIndexHtml: {
      order: 'post',
      handler: (html) => fillShell(html, places, workers),
    },
    generateBundle: {
      order: 'post',
      handler(_options, output) {
        const html = Object.values(output).find(({ fileName }) => fileName.endsWith('.html'));
        const chunks = Object.values(output).filter((file) => file.type === 'chunk');
        if (html?.type !== 'asset' || chunks.length !== 1) throw new Error('the code is not in one piece');
        const script = /<script type="module"[^>]*src="[^"]*"><\/script>/.exec(`${html.source}`);
        if (!script) throw new Error('the page names no script');
        const element = (id: string, code: string): string =>
          `<script type="text/plain" id="exgs-${id}">${inline(code)}</script>\n`;
        // Behind the poster and the request for the scene, which are not to wait for the code.
        const code = [
          element('client', workers.client),
          element('sort', workers.sort),
          `<script type="module" async>${inline(chunks[0]!.code.trim())}</script>\n`,
        ].join('');
        const text = fill(fill(`${html.source}`, `${script[0]}\n`, ''), '<!--scene-->', `${code}<!--scene-->`);
        weighSingle(text);
        for (const name of Object.keys(output)) delete output[name];
        fs.mkdirSync(places.out, { recursive: true });
        fs.writeFileSync(path.join(places.out, 'single.html'), text);
      },
    },
  };
}

async function fillShell(html: string, { page }: Places, { define }: Workers): Promise<string> {
  const boot = await bundle(path.join(page, 'src/boot.ts'), { format: 'iife', define });
  const css = styles(path.join(page, 'src/style.css'));
  const filled = fill(html, '<!--style-->', `<style>${css}</style>`);
  return fill(filled, '<!--boot-->', `<script>${inline(boot)}</script>`).replaceAll(' crossorigin', '');
}

/** Reports the bytes before the first picture; throws where they exceed the limit. */
function weigh(output: Rolldown.OutputBundle, { out }: Places, workers: Workers): void {
  const weights = new Map<string, number>([
    ['index.html', gzip(fs.readFileSync(path.join(out, 'index.html'))).length],
    ['client worker', gzip(workers.client).length],
    ['sort worker', gzip(workers.sort).length],
  ]);
  const needed = Object.values(output).filter((file) => file.type === 'chunk' && file.isEntry);
  for (const chunk of needed) {
    if (chunk.type !== 'chunk') continue;
    weights.set(chunk.fileName, gzip(chunk.code).length);
    needed.push(...chunk.imports.flatMap((name) => output[name] ?? []).filter((file) => !needed.includes(file)));
  }
  const total = [...weights.values()].reduce((sum, bytes) => sum + bytes, 0);
  for (const [name, bytes] of weights) console.log(`${name.padEnd(32)} ${bytes} bytes of gzip`);
  console.log(`before the first picture         ${total} of ${MOST_BYTES}`);
  if (total > MOST_BYTES) throw new Error(`code before the first picture: ${total} bytes of gzip`);
}

/** The same for the page with its code within. */
function weighSingle(html: string): void {
  const bytes = gzip(html).length;
  console.log(`page with its code within        ${bytes} of ${MOST_BYTES}`);
  if (bytes > MOST_BYTES) throw new Error(`the page with its code within: ${bytes} bytes of gzip`);
}

function fileOf(name: string, code: string): string {
  return `${name}-${createHash('sha256').update(code).digest('hex').slice(0, 10)}.js`;
}
