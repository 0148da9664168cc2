// Compresses what the server hands out, once, as far as it goes.

import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';

/** Writes NAME.gz and NAME.br beside each file of a folder. */
export function packFolder(folder: string): void {
  for (const name of fs.readdirSync(folder)) packFile(path.join(folder, name));
}

/** Writes FILE.gz and FILE.br beside a file. */
export function packFile(file: string): void {
  const data = fs.readFileSync(file);
  const params = { [zlib.constants.BROTLI_PARAM_SIZE_HINT]: data.length };
  fs.writeFileSync(`${file}.gz`, gzip(data));
  fs.writeFileSync(`${file}.br`, zlib.brotliCompressSync(data, { params }));
}

/** A text or file in gzip's best form. */
export function gzip(data: string | Uint8Array): Buffer {
  return zlib.gzipSync(data, { level: 9 });
}
