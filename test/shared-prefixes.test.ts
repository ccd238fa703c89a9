/** bench/shared-prefixes.mjs counts as it says, and works where there is no data. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const script = fileURLToPath(new URL('../bench/shared-prefixes.mjs', import.meta.url));

it('counts tokens given and computed on the synthetic task', () => {
  const run = spawnSync(process.execPath, [script, '--queries', '2', '--data', 'nowhere', '--json'], {
    encoding: 'utf8',
  });
  expect(run.status, run.stderr).toBe(0);
  const records = run.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);
  expect(records).toHaveLength(2);
  for (const { given, within, between, ratioBetween } of records) {
    expect(within).toBeLessThanOrEqual(given as number);
    expect(between).toBeLessThan(within as number);
    expect(ratioBetween).toBe((given as number) / (between as number));
  }
  // Twenty candidates take nineteen questions each. One question of one ranking a call shares nothing within it.
  expect(records[0]).toMatchObject({ rankings: 2, calls: 38 });
  expect(records[0]?.within).toBe(records[0]?.given);
});
