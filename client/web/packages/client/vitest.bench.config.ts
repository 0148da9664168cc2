import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { name: 'bench', include: ['bench/*.test.ts'], environment: 'node', testTimeout: 120_000 },
});
