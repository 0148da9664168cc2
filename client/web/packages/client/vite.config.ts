import { defineConfig } from 'vite';

// The package for others: modules and the worker as files side by side.
export default defineConfig({
  base: './',
  build: {
    target: 'es2022',
    lib: {
      entry: { index: 'src/index.ts', decoder: 'src/decoder.ts', inline: 'src/inline.ts' },
      formats: ['es'],
    },
  },
  worker: { format: 'es' },
});
