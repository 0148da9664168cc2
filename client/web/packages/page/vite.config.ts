import path from 'node:path';
import { defineConfig, type UserConfig } from 'vite';
import { codeOf, makeWorkers, ownWorkers, packEmbed, shell, singleShell, type Places } from './build/shell.ts';

const page = import.meta.dirname;
const places: Places = { page, out: path.resolve(page, '../../../../server/exgs/server/page') };

// Three builds: the page as files for a server, the page as one file (--mode single), and the element
// alone for pages of others (--mode embed).
export default defineConfig(async ({ mode }): Promise<UserConfig> => {
  const workers = await makeWorkers(places, mode === 'single');
  const common = {
    outDir: places.out,
    emptyOutDir: false,
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  };
  const base = { root: page, logLevel: 'warn' as const };
  const input = path.join(page, 'index.html');
  switch (mode) {
    case 'single':
      return {
        ...base,
        define: workers.define,
        plugins: [ownWorkers(workers), singleShell(places, workers)],
        build: { ...common, rolldownOptions: { input, output: { codeSplitting: false } } },
      };
    case 'embed':
      return {
        ...base,
        define: { ...workers.define, ...codeOf(workers) },
        plugins: [ownWorkers(workers), packEmbed(places)],
        build: {
          ...common,
          rolldownOptions: {
            input: path.join(page, 'src/embed.ts'),
            preserveEntrySignatures: 'strict' as const,
            output: { entryFileNames: 'exgs-viewer.js', codeSplitting: false },
          },
        },
      };
    default:
      return {
        ...base,
        define: workers.define,
        plugins: [ownWorkers(workers), shell(places, workers)],
        build: { ...common, emptyOutDir: true, rolldownOptions: { input } },
      };
  }
});
