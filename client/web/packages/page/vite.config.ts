import path from 'node:path';
import { defineConfig } from 'vite';
import { makeWorkers, ownWorkers, shell, singleShell, type Places } from './build/shell.ts';

const page = import.meta.dirname;
const places: Places = { page, out: path.resolve(page, '../../../../server/exgs/server/page') };

export default defineConfig(async ({ mode }) => {
  const isSingle = mode === 'single';
  const workers = await makeWorkers(places, isSingle);
  return {
    root: page,
    logLevel: 'warn' as const,
    define: workers.define,
    plugins: [ownWorkers(workers), isSingle ? singleShell(places, workers) : shell(places, workers)],
    build: {
      outDir: places.out,
      emptyOutDir: !isSingle,
      target: 'es2022',
      modulePreload: { polyfill: false },
      assetsInlineLimit: 0,
      rolldownOptions: {
        input: path.join(page, 'index.html'),
        output: isSingle ? { codeSplitting: false } : {},
      },
    },
  };
});
