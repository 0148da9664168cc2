import { defineConfig } from 'vite';

// The benchmarks as plain modules for Node: the code is measured as it ships, bundled.
export default defineConfig({
  build: { ssr: 'bench/decode.ts', outDir: 'dist/bench', target: 'es2022' },
});
