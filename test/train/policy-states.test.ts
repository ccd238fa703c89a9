/** Training on the questions that the policy comes to, and keeping its thoughts, through a whole run of the stand-in engine. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ThoughtStore } from '../../lib/protocol/index.js';
import type { TrainConfig } from '../../lib/train/config.js';
import { resolveConfig } from '../../lib/train/config.js';
import { train } from '../../lib/train/trainer.js';
import type { FakeModel } from './fake-model.js';
import { events, fake, file, finalWeights, makeConfig } from './fake-run.js';

const grpo = { kind: 'grpo', steps: 6, prompts: 4, group: 4, maxTokens: 40, learningRate: 5 } as const;
const warmUp = { kind: 'sft', steps: 3, batch: 4, learningRate: 0.1 } as const;
const config = (change: Partial<TrainConfig['stages'][number]> = {}): TrainConfig =>
  makeConfig({ stages: [warmUp, { ...grpo, ...change } as TrainConfig['stages'][number]] });

it('walks to its cases with single completions, and resumes to the same bytes', async () => {
  const made: FakeModel[] = [];
  const straight = config({ states: 'policy' });
  await train(straight, fake({}, made));
  const calls = made[0]?.calls ?? [];
  expect(calls.filter(({ n }) => n === 4).length).toBe(6);
  // Sizes from 2 to 5 of five candidates need up to three steps, and some of the 24 cases need one.
  const walks = calls.filter(({ n, promptKeys }) => n === 1 && promptKeys.length <= 4);
  expect(walks.length).toBeGreaterThan(6);

  const interrupted = config({ states: 'policy' });
  let seen = 0;
  for await (const _ of train(interrupted, fake())) if (++seen === 9) break;
  await train(interrupted, { ...fake(), resume: true });
  expect(file(interrupted, 'metrics.jsonl')).toBe(file(straight, 'metrics.jsonl'));
  expect(finalWeights(interrupted)).toBe(finalWeights(straight));

  const random = config();
  await train(random, fake());
  expect(finalWeights(random)).not.toBe(finalWeights(straight));
});

it('keeps rewarded thoughts, the same ones after a resumption', async () => {
  const straight = config({ keepThoughts: {} });
  await train(straight, fake());
  const store = await ThoughtStore.load(join(straight.output, 'thoughts.jsonl'));
  expect(store.thoughts.length).toBeGreaterThan(6);
  expect(store.thoughts.length).toBeLessThanOrEqual(24);
  for (const { reward, thought, task, owner } of store.thoughts) {
    expect(reward).toBe(1);
    expect(thought).toBe('likes ;');
    expect(task).toBe('synthetic');
    expect(owner).toMatch(/^u:/);
  }
  const interrupted = config({ keepThoughts: {} });
  let seen = 0;
  for await (const _ of train(interrupted, fake())) if (++seen === 10) break;
  await train(interrupted, { ...fake(), resume: true });
  expect(file(interrupted, 'thoughts.jsonl')).toBe(file(straight, 'thoughts.jsonl'));

  const without = config();
  await events(without, fake());
  expect(file(without, 'thoughts.jsonl')).toBe('');
  expect(resolveConfig(config({ keepThoughts: {} })).stages[1]).toMatchObject({
    keepThoughts: { minimumReward: 0, perCase: 1 },
  });
});
