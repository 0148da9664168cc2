import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    name: 'viewer',
    include: ['tests/**/*.test.ts'],
    environment: 'node',
    testTimeout: 60_000,
    pool: 'threads',
    maxWorkers: 1,
  },
});
