/** The programs of examples/ run to their end, on the compiled library as users do, with small numbers. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { train } from '../lib/train/trainer.js';

const folder = fileURLToPath(new URL('../examples', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'winnow-examples-'));

function run(name: string, ...args: string[]): string {
  const result = spawnSync(process.execPath, [join(folder, name), ...args], { encoding: 'utf8', timeout: 100_000 });
  expect(result.status, result.stderr).toBe(0);
  return result.stdout;
}

const kTests: Record<string, () => void | Promise<void>> = {
  'custom-reward.mjs': () => {
    const output = join(work, 'custom-reward');
    expect(run('custom-reward.mjs', output, '5')).toMatch(/step 5: right [\d.]+, [\d.]+ tokens\nafter grpo: MRR/);
    expect(existsSync(join(output, 'checkpoints', 'step-00000105', 'model.safetensors'))).toBe(true);
  },
  'several-turns.mjs': () => {
    const said = run('several-turns.mjs', join(work, 'several-turns'), '5');
    expect(said).toMatch(/step 5: reward -?[\d.]+, malformed [\d.]+\nafter grpo: MRR/);
  },
  'resume.mjs': () => {
    const said = run('resume.mjs', join(work, 'resume'), '12');
    expect(said).toContain('killed at step 8');
    expect(said).toMatch(/cut: begins at step [5-9] of 12/);
    expect(said).toContain('the same bytes');
  },
  'evaluate.mjs': () => {
    const said = run('evaluate.mjs', '', '5');
    expect(said).toMatch(/MRR: model [\d.]+ \[[\d.]+, [\d.]+\], chance [\d.]+, popularity [\d.]+/);
    expect(said).toMatch(/first ranking: \S+ > \S+/);
  },
  'lora.mjs': () => {
    const said = run('lora.mjs', '', join(work, 'lora'), '2');
    expect(said).toMatch(/warm-up 20: loss [\d.]+\ngrpo 1: .*\ngrpo 2: .*kl [\d.]+\n/);
    expect(said).toContain('adapter: adapter_config.json, adapter_model.safetensors');
    expect(said).toMatch(/a ranking with the adapter: \S+ > \S+ > \S+ > \S+/);
  },
  'rank.mjs': async () => {
    const { checkpoint } = await train({
      output: join(work, 'model'),
      model: { scratch: { width: 16, layers: 1, heads: 2, headDim: 8, maxPositions: 2048 } },
      data: { task: { name: 'synthetic', users: 8 } },
      stages: [{ kind: 'sft', steps: 1, batch: 2, learningRate: 0.01 }],
    });
    const [ranking] = run('rank.mjs', checkpoint as string).match(/\[[^\]]*\]/) ?? [''];
    expect(ranking.match(/m\d/g)?.sort()).toEqual(['m1', 'm2', 'm3']);
  },
};

describe('examples', () => {
  for (const [name, test] of Object.entries(kTests)) it(name, test, 120_000);

  it('has a test for every program, and a line for every file', () => {
    const names = readdirSync(folder).filter((name) => name !== 'README.md');
    expect(names.filter((name) => name.endsWith('.mjs'))).toEqual(Object.keys(kTests).sort());
    const page = readFileSync(join(folder, 'README.md'), 'utf8');
    expect(names.filter((name) => !page.includes(`| \`${name}`))).toEqual([]);
  });
});
