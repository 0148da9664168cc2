import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    name: 'viewer',
    include: ['tests/**/*.test.ts'],
    environment: 'node',
    pool: 'threads',
    maxWorkers: 1,
  },
});
