import { defineConfig } from 'vite';

export default defineConfig({
  root: 'pages',
  base: './',
  logLevel: 'warn',
  build: { outDir: '../dist', emptyOutDir: true, target: 'es2022', rolldownOptions: { input: ['pages/spark.html', 'pages/playcanvas.html'] } },
});
