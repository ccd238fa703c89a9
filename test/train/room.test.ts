/** What would not fit later is refused before the first step. */
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { TrainConfig } from '../../lib/train/config.js';
import type { Prepare } from '../../lib/train/setup.js';
import { train } from '../../lib/train/trainer.js';
import { fakePrepare } from './fake-model.js';
import { makeConfig } from './fake-run.js';
import { tinyRun } from './tiny-run.js';

interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly received: string;
}

/** Undefined where the run goes through; a refusal comes before the first event. */
async function attempt(change: Partial<TrainConfig>): Promise<Refusal | undefined> {
  const config = { ...tinyRun(join(mkdtempSync(join(tmpdir(), 'winnow-room-')), 'run')), ...change };
  const events: string[] = [];
  try {
    for await (const { type } of train(config)) events.push(type);
    return undefined;
  } catch (error) {
    expect(events).toEqual([]);
    expect(existsSync(join(config.output, 'metrics.jsonl'))).toBe(false);
    return error as Refusal;
  }
}

async function failureOf(change: Partial<TrainConfig>): Promise<Refusal> {
  const refusal = await attempt(change);
  if (refusal === undefined) throw new Error('nothing was thrown');
  return refusal;
}

const [sft, grpo] = tinyRun('').stages;

it('refuses a later stage whose batches no machine can hold, with the plan', async () => {
  const stages = [sft, { ...grpo, maxBatchTokens: 2 ** 31 - 1 }] as TrainConfig['stages'];
  const failure = await failureOf({ stages });
  expect(failure.code).toBe('ERR_MEMORY_PLAN');
  expect(failure.message).toContain('stage grpo');
  expect(failure.received).toMatch(/activations \d+.*scratch \d+/);
});

it('asks where the model lives how much is left', async () => {
  const prepare = fakePrepare();
  const onFullDevice: Prepare = async (...request) => ({ ...(await prepare(...request)), availableBytes: () => 1000 });
  await expect(train(makeConfig(), { prepare: onFullDevice })).rejects.toMatchObject({
    code: 'ERR_MEMORY_PLAN',
    expected: 'at most 0 MiB beside weights and optimizer',
  });
});

const supervised = (maxPositions: number): Partial<TrainConfig> => ({
  model: { scratch: { width: 16, layers: 1, heads: 2, headDim: 8, feedForward: 24, maxPositions } },
  stages: [{ ...sft, steps: 1 }] as TrainConfig['stages'],
  evaluation: undefined as never,
});

it('refuses a supervised case that is longer than the context', async () => {
  const failure = await failureOf(supervised(30));
  expect(failure).toMatchObject({ code: 'ERR_CONTEXT_LENGTH', message: expect.stringContaining('stage warm-up') });
});

it('takes a supervised case that just fits, and refuses it with a position less', async () => {
  let longest = 30;
  for (let refusal = await attempt(supervised(longest)); refusal; refusal = await attempt(supervised(longest))) {
    expect(refusal.code).toBe('ERR_CONTEXT_LENGTH');
    longest = Number(refusal.received);
  }
  expect(longest).toBeGreaterThan(30);
  expect(await failureOf(supervised(longest - 1))).toMatchObject({
    code: 'ERR_CONTEXT_LENGTH',
    received: `${longest}`,
  });
});

it('refuses a prompt that leaves no room for a completion', async () => {
  const scratch = { width: 16, layers: 1, heads: 2, headDim: 8, feedForward: 24, maxPositions: 12 };
  const failure = await failureOf({
    model: { scratch },
    stages: [{ ...grpo, maxTokens: 4 }] as TrainConfig['stages'],
    evaluation: undefined as never,
  });
  expect(failure).toMatchObject({
    code: 'ERR_CONTEXT_LENGTH',
    message: expect.stringContaining('a prompt leaves no room'),
  });
});
