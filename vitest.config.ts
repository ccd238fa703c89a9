import { defineConfig } from 'vitest/config';

// Forks, not threads: a native addon is loaded once per process.
export default defineConfig({
  test: {
    pool: 'forks',
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/temporary-folder.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
