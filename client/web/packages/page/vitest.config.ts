import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    name: 'page',
    include: ['tests/**/*.test.ts'],
    environment: 'node',
    pool: 'threads',
    maxWorkers: 1,
  },
});
