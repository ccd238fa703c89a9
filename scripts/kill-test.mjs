// npm run test:kill [-- --kills 200 --seed 1]: kills training runs at random moments and resumes them to the same final bytes.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { run, runMain, ToolError } from './tools/process.mjs';

await runMain((args) => {
  const options = { kills: { type: 'string', default: '200' }, seed: { type: 'string', default: '1' } };
  const { kills, seed } = parseArgs({ args, options }).values;
  if (!(Number(kills) >= 1)) throw new ToolError(`--kills is a number from 1 on, not ${kills}`);
  process.env.WINNOW_KILLS = kills;
  process.env.WINNOW_KILL_SEED = seed;
  const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
  run(process.execPath, [
    vitest,
    'run',
    'test/train/kill.test.ts',
    '-t',
    'same final bytes',
    '--disable-console-intercept',
  ]);
});
