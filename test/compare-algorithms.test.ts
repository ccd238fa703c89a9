import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const kConfig = `
output: unused
model: { scratch: { width: 16, layers: 1, heads: 2, maxPositions: 256 } }
data: { task: { name: synthetic, users: 24, testShare: 0.25, candidates: 3, seed: {seed} } }
protocol: { name: exclusion, wording: compact }
stages:
  - { kind: sft, steps: 2, batch: 2, demonstrations: { corruptShare: 0.5 }, learningRate: 1.0e-3 }
  - { kind: grpo, steps: 2, prompts: 2, group: 2, maxTokens: 8, learningRate: 1.0e-3 }
evaluation: { instances: 2, maxTokens: 8, resamples: 10 }
`;
const folder = mkdtempSync(join(tmpdir(), 'winnow-compare-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function compare(config: string, output: string): string {
  const script = [
    'scripts/compare-algorithms.mjs',
    config,
    '--output',
    output,
    '--seeds',
    '7',
    '--evaluate-every',
    '1',
  ];
  return execFileSync(process.execPath, script, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

describe('scripts/compare-algorithms.mjs', () => {
  it('trains every variant from one warm-up, and draws their curves; once more changes nothing', {
    timeout: 120_000,
  }, () => {
    const config = join(folder, 'config.yaml');
    const output = join(folder, 'out');
    writeFileSync(config, kConfig);
    const table = (text: string) => text.split('\n').filter((line) => line.startsWith('|'));
    const first = table(compare(config, output));
    expect(first).toHaveLength(2 + 6);
    const figure = readFileSync(join(output, 'curves.svg'), 'utf8');
    for (const name of ['GRPO', 'Dr. GRPO', 'RLOO', 'PPO', 'imitation of the warm-up', 'imitation of the truth']) {
      expect(figure).toContain(`>${name}<`);
      expect(first.some((row) => row.startsWith(`| ${name} |`))).toBe(true);
    }
    expect(figure.match(/<circle /g), 'the start, an evaluation on the way, the end').toHaveLength(6 * 3);
    const metrics = readFileSync(join(output, 'ppo-7', 'metrics.jsonl'), 'utf8');
    expect(metrics.split('\n').filter((line) => line.includes('"kind":"ppo"'))).toHaveLength(2);
    expect(table(compare(config, output))).toEqual(first);
    expect(readFileSync(join(output, 'ppo-7', 'metrics.jsonl'), 'utf8')).toBe(metrics);
  });

  it('says what it needs', () => {
    const config = join(folder, 'imitation.yaml');
    writeFileSync(config, kConfig.replace(/ {2}- \{ kind: grpo.*\n/, ''));
    expect(() => compare(config, join(folder, 'none'))).toThrow('must be of kind grpo');
  });
});
