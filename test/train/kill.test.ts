import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { RandomStream } from '../../lib/random.js';
import { newestCheckpoint } from '../../lib/train/checkpoint.js';
import { resolveConfig } from '../../lib/train/config.js';
import { tinyRun } from './tiny-run.js';

const kChild = fileURLToPath(new URL('./kill-child.mjs', import.meta.url));

const newFolder = () => join(mkdtempSync(join(tmpdir(), 'winnow-kill-')), 'run');

/** Runs the child and kills it `afterMs` after its first line; resolves with its exit code, or null when it was killed. */
function runAndKill(args: readonly string[], afterMs: number): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [kChild, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (text) => {
      errors += text;
    });
    child.stdout.once('data', () => {
      if (Number.isFinite(afterMs)) setTimeout(() => child.kill('SIGKILL'), afterMs);
    });
    child.stdout.resume();
    child.on('error', reject);
    child.on('close', (code) => (code === null || code === 0 ? resolve(code) : reject(new Error(errors))));
  });
}

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
      await runAndKill(['atomic', folder], random.integer(200 * (kill + 1)));
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
      await runAndKill(['naive', folder], 30 + random.integer(90));
      whole.push(isWhole(join(folder, 'step-00000001')));
    }
    expect(whole).toContain(false);
  });

  it('resumes to the same final bytes as a run that nobody touched', async () => {
    const [straight, killed] = [newFolder(), newFolder()];
    const argument = (output: string) => JSON.stringify(resolveConfig(tinyRun(output)));
    expect(await runAndKill(['train', straight, argument(straight)], Number.POSITIVE_INFINITY)).toBe(0);
    const random = new RandomStream(3, 'kill');
    let kills = 0;
    while (
      (await runAndKill(
        ['train', killed, argument(killed)],
        kills < 6 ? random.integer(100) : Number.POSITIVE_INFINITY,
      )) === null
    ) {
      kills++;
    }
    expect(kills).toBeGreaterThan(2);
    const last = 'checkpoints/step-00000012';
    for (const name of [
      ...['metrics.jsonl', 'samples.jsonl', `${last}/model.safetensors`, `${last}/config.json`],
      ...[`${last}/trainer_state/optimizer.safetensors`],
    ]) {
      expect(readFileSync(join(killed, name)).equals(readFileSync(join(straight, name))), name).toBe(true);
    }
  });
});
