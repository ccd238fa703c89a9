/** docs/metrics.md lists every name that a run emits, and no name that nothing emits. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TrainConfig } from '../../lib/train/config.js';
import type { TrainEvent } from '../../lib/train/events.js';
import { train } from '../../lib/train/trainer.js';
import { tinyRun } from './tiny-run.js';

const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');

/** Names in the first column of the page's tables. */
const listed = page
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .flatMap((line) => [...(line.split(' | ')[0] as string).matchAll(/`([^`]+)`/g)].map(([, name]) => name as string));

/** PARTS in capitals stand for any text. */
const pattern = (name: string) =>
  new RegExp(`^${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/[A-Z]{3,}/g, '.+')}$`);

type Stage = TrainConfig['stages'][number];

/** Every switch that adds a name, on runs of the real engine that take a moment. */
const [sft, grpo] = tinyRun('').stages as [Stage, Extract<Stage, { kind: 'grpo' }>];
const kRuns: readonly Partial<TrainConfig>[] = [
  {
    stages: [
      { ...sft, steps: 1 },
      { ...grpo, steps: 2, kl: { coefficient: 0.1 }, reference: 'stage-start', states: 'policy' },
    ],
  },
  {
    stages: [
      {
        ...{ ...grpo, steps: 3, updates: 2, entropyCoefficient: 0.01, overlong: { buffer: 8 }, replay: { groups: 2 } },
        ...{ advantage: 'batch', kl: { coefficient: 0.1, place: 'reward', estimator: 'k1' }, reference: 'stage-start' },
      } as Stage,
    ],
  },
  {
    stages: [
      {
        ...{ kind: 'ppo', steps: 2, prompts: 4, maxTokens: 16, learningRate: 0.001, maxBatchTokens: 256 },
        critic: { clip: 0.2 },
      },
    ],
  },
  {
    data: {
      mixture: [0, 1].map((seed) => ({
        task: { name: 'synthetic', users: 8, candidates: 4, history: 2, seed },
      })) as never,
    },
    stages: [
      { ...grpo, steps: 2, dynamicSampling: { rounds: 1 } },
      { kind: 'best-of-n', steps: 1, prompts: 2, group: 2, maxTokens: 16, learningRate: 0.001, maxBatchTokens: 256 },
    ],
  },
];

async function emitted(): Promise<Set<string>> {
  const names = new Set<string>();
  const add = (values: object | undefined, prefix = '') => {
    for (const name of Object.keys(values ?? {})) names.add(prefix + name);
  };
  const on = (event: TrainEvent) => {
    if (event.type === 'evaluation') add(event.record.measures);
    if (event.type !== 'step') return;
    add(event.record.metrics);
    add(event.timing.seconds, 'timing_s/');
    add(event.timing.rates);
  };
  for (const change of kRuns) {
    const output = join(mkdtempSync(join(tmpdir(), 'winnow-names-')), 'run');
    const report = { peakTeraflops: 1 };
    for await (const event of train({ ...tinyRun(output), ...change, report, checkpoint: { every: 100 } })) on(event);
  }
  return names;
}

describe('docs/metrics.md', () => {
  it('lists every name that runs emit, and only such', async () => {
    const names = [...(await emitted())];
    const unlisted = names.filter((name) => !listed.some((one) => pattern(one).test(name)));
    expect(unlisted).toEqual([]);
    // The synthetic task is one task, however often it is mixed.
    const needsTwoTasks = ['tasks/TASK/reward'];
    const never = listed.filter(
      (one) => !names.some((name) => pattern(one).test(name)) && !needsTwoTasks.includes(one),
    );
    expect(never).toEqual([]);
  });

  it('lists no name twice', () => {
    expect(
      listed.filter((name, index) => listed.indexOf(name) !== index && !['loss', 'malformed_rate'].includes(name)),
    ).toEqual([]);
  });
});
