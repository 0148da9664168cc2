// Bundles one entry into one piece of code: workers, and what is written into the HTML.

import { build, type Rolldown } from 'vite';

interface BundleOptions {
  readonly format: 'es' | 'iife';
  readonly define?: Record<string, string>;
}

/** The minified code of an entry with all that it imports. */
export async function bundle(entry: string, { format, define = {} }: BundleOptions): Promise<string> {
  const result = (await build({
    configFile: false,
    logLevel: 'warn',
    define,
    build: {
      write: false,
      target: 'es2022',
      minify: true,
      modulePreload: false,
      rolldownOptions: { input: entry, preserveEntrySignatures: 'strict', output: { format, codeSplitting: false } },
    },
  })) as Rolldown.RolldownOutput;
  const chunks = result.output.filter((output) => output.type === 'chunk');
  if (chunks.length !== 1) throw new Error(`${entry} gives ${chunks.length} chunks, not one`);
  return chunks[0]!.code.trim();
}
