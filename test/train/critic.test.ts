/** A critic with a body of its own, given completions whose reward one of their tokens decides. */
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { openSession, readModelFolder } from '../../lib/native/index.js';
import { RandomStream } from '../../lib/random.js';
import type { PpoConfig } from '../../lib/train/config.js';
import { resolveConfig } from '../../lib/train/config.js';
import { completionValues, criticRate, updateCritic } from '../../lib/train/critic.js';
import { explainedVariance } from '../../lib/train/critic-metrics.js';
import { concatenate, type TrainGroup } from '../../lib/train/policy-batch.js';
import { Stopwatch } from '../../lib/train/stage.js';

const kModel = fileURLToPath(new URL('../fixtures/losses/model', import.meta.url));
const kCompletions = 24;
const kLength = 6;

const settings = (change: object = {}): PpoConfig => {
  const stage = { kind: 'ppo', steps: 9, prompts: 24, maxTokens: 8, learningRate: 0.004, ...change };
  const all = { output: 'o', model: { folder: 'x' }, data: { train: 'y' }, stages: [stage] };
  return resolveConfig(all).stages[0] as PpoConfig;
};

const session = openSession({ device: 'cpu', threads: 1 });
afterAll(() => session.close());

async function openCritic() {
  const { config, weightFiles: paths } = readModelFolder(kModel);
  const native = { ...config, valueHead: true };
  const critic = await session.createModel({ config: native, dtype: 'f32', source: { kind: 'files', paths } });
  await critic.enableTraining();
  return critic;
}

// Token 1 (of 0 to 5) is 3 or 4; the reward is 1 after a 3 and 0 after a 4.
const random = new RandomStream(8, 'critic');
const prompt = Int32Array.of(30, 31, 32);
const completions = Array.from({ length: kCompletions }, (_, index) => {
  const tokens = Int32Array.from({ length: kLength }, () => random.integer(30));
  tokens[1] = index % 2 === 0 ? 3 : 4;
  return tokens;
});
const returns = completions.map(({ length }, index) => new Float64Array(length).fill(index % 2 === 0 ? 1 : 0));
const sequences = completions.map((tokens) => ({ tokens: concatenate(prompt, tokens), start: prompt.length }));
const request = {
  stageStep: 0,
  optimizerStep: 0,
  learningRate: 0.004,
  samples: 0,
  dropoutSeed: 0,
  signal: new AbortController().signal,
};

const groupsOf = (old: readonly Float32Array[]): TrainGroup<number>[] =>
  completions.map((tokens, index) => ({
    prompt,
    completions: [
      {
        ...{ tokens, logprobs: new Float32Array(kLength), truncated: false, advantage: 0 },
        target: { old: old[index] as Float32Array, returns: returns[index] as Float64Array },
      },
    ],
    informative: true,
    age: 0,
  }));

describe('a critic', () => {
  it('learns what the reward depends on, from the token that decides it on, and the mean before it', async () => {
    const config = settings();
    const critic = await openCritic();
    let made = 0;
    for (let step = 0; step < 150; step++) {
      const old = await completionValues(critic, sequences, config, request, new Stopwatch());
      const { updates, skipped } = await updateCritic(critic, config, groupsOf(old), made, request, new Stopwatch());
      expect([updates, skipped]).toEqual([1, 0]);
      made += updates;
    }
    const values = await completionValues(critic, sequences, config, request, new Stopwatch());
    const part = (rows: readonly ArrayLike<number>[], from: number, to: number) =>
      rows.flatMap((row) => Array.from(row).slice(from, to));
    expect(explainedVariance(part(values, 2, kLength), part(returns, 2, kLength))).toBeGreaterThan(0.9);
    // All stand at the same state before the first token: one value, half-way.
    const first = new Set(part(values, 0, 1));
    expect(first.size).toBe(1);
    expect([...first][0]).toBeGreaterThan(0.3);
    expect([...first][0]).toBeLessThan(0.7);
    await critic.dispose();
  });

  it('is clipped from the second update on, where a value has gone far enough', async () => {
    const config = settings({ updates: 2, critic: { clip: 0.02, learningRate: 0.02 } });
    const critic = await openCritic();
    const old = await completionValues(critic, sequences, config, request, new Stopwatch());
    const once = await updateCritic(critic, { ...config, updates: 1 }, groupsOf(old), 0, request, new Stopwatch());
    expect(once.metrics['critic/vf_clipfrac']).toBe(0);
    const now = await completionValues(critic, sequences, config, request, new Stopwatch());
    const twice = await updateCritic(critic, config, groupsOf(now), 1, request, new Stopwatch());
    expect(twice.updates).toBe(2);
    expect(twice.metrics['critic/vf_clipfrac']).toBeGreaterThan(0.2);
    await critic.dispose();
  });

  it('follows the schedule at a height of its own', () => {
    expect(criticRate(settings({ critic: { learningRate: 0.008 } }), 0.001)).toBeCloseTo(0.002, 14);
    expect(criticRate(settings(), 0.001)).toBe(0.001);
  });

  it('refuses sequences without returns', async () => {
    const groups = groupsOf([]).map((group) => ({
      ...group,
      completions: group.completions.map(({ target: _, ...rest }) => rest),
    }));
    const update = updateCritic({} as never, settings(), groups, 0, request, new Stopwatch());
    await expect(update).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
  });
});
