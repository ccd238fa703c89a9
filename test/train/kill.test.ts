import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RandomStream } from '../../lib/random.js';
import { newestCheckpoint } from '../../lib/train/checkpoint.js';
import { train } from '../../lib/train/trainer.js';
import { killRuns, runAndKill } from './kill-run.js';
import {
  tinyRun,
  tinyRunInLittleMemory,
  tinyRunWithAdapter,
  tinyRunWithCritic,
  tinyRunWithHistory,
  tinyRunWithSharedCritic,
} from './tiny-run.js';

/** `npm run test:kill -- --kills 200 --seed 1` sets these. */
const kKills = Number(process.env.WINNOW_KILLS ?? 6);
const kSeed = Number(process.env.WINNOW_KILL_SEED ?? 3);

const newFolder = () => join(mkdtempSync(join(tmpdir(), 'winnow-kill-')), 'run');

/** Whether every part of the newest checkpoint is there, in full length and of one step. */
function isWhole(path: string): boolean {
  const names = readdirSync(path).filter((name) => name.startsWith('part-'));
  const texts = names.map((name) => readFileSync(join(path, name), 'utf8'));
  const line = texts[0]?.split('\n')[0];
  return names.length === 24 && texts.every((text) => text === `${line}\n`.repeat(5000));
}

describe('a process killed at any instant', () => {
  it('leaves a whole newest checkpoint, inside a checkpoint write too', async () => {
    const folder = newFolder();
    const random = new RandomStream(1, 'kill');
    // At least six kills, and more where a slow disk has let no checkpoint through yet.
    for (let kill = 0; kill < 6 || newestCheckpoint(folder) === undefined; kill++) {
      await runAndKill(['atomic', folder], { after: random.integer(200 * (kill + 1)), from: 'first line' });
      const newest = newestCheckpoint(folder);
      if (newest !== undefined) expect(isWhole(newest.path), newest.name).toBe(true);
    }
  });

  it('would be caught: checkpoints written straight into their place are found broken', async () => {
    const folder = newFolder();
    const random = new RandomStream(2, 'kill');
    const whole: boolean[] = [];
    // One torn checkpoint is enough; that none of forty is would be a miracle.
    for (let kill = 0; kill < 40 && !whole.includes(false); kill++) {
      await runAndKill(['naive', folder], { after: 30 + random.integer(90), from: 'first line' });
      whole.push(isWhole(join(folder, 'step-00000001')));
    }
    expect(whole).toContain(false);
  });

  it(
    'resumes to the same final bytes as a run that nobody touched',
    async () => {
      const { checkpoint: base } = await train(tinyRun(newFolder()));
      const withAdapter = (output: string) => tinyRunWithAdapter(output, base as string);
      const variants = [
        ...[tinyRun, tinyRunWithHistory, tinyRunWithCritic, withAdapter],
        ...[tinyRunInLittleMemory, tinyRunWithSharedCritic],
      ];
      const figures = await killRuns(variants, { kills: kKills, seed: kSeed });
      console.log(`kills: ${JSON.stringify(figures)}`);
      expect(figures.kills).toBe(kKills);
      // Checkpoints take about a half of such a run: a hundred kills that miss them all do not happen.
      if (kKills >= 100) expect(figures.insideCheckpoints).toBeGreaterThan(0);
    },
    60_000 + 10_000 * kKills,
  );
});
