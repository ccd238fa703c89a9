/** What would not fit later is refused before the first step. */
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { TrainConfig } from '../../lib/train/config.js';
import { train } from '../../lib/train/trainer.js';
import { tinyRun } from './tiny-run.js';

async function failureOf(change: Partial<TrainConfig>): Promise<{ code: string; message: string; received: string }> {
  const config = { ...tinyRun(join(mkdtempSync(join(tmpdir(), 'winnow-room-')), 'run')), ...change };
  const events: string[] = [];
  const failure = await (async () => {
    try {
      for await (const { type } of train(config)) events.push(type);
    } catch (error) {
      return error as { code: string; message: string; received: string };
    }
    throw new Error('nothing was thrown');
  })();
  expect(events).toEqual([]);
  expect(existsSync(join(config.output, 'metrics.jsonl'))).toBe(false);
  return failure;
}

const [sft, grpo] = tinyRun('').stages;

it('refuses a later stage whose batches no machine can hold, with the plan', async () => {
  const stages = [sft, { ...grpo, maxBatchTokens: 2 ** 31 - 1 }] as TrainConfig['stages'];
  const failure = await failureOf({ stages });
  expect(failure.code).toBe('ERR_MEMORY_PLAN');
  expect(failure.message).toContain('stage grpo');
  expect(failure.received).toMatch(/activations \d+.*scratch \d+/);
});

it('refuses a supervised case that is longer than the context', async () => {
  const scratch = { width: 16, layers: 1, heads: 2, headDim: 8, feedForward: 24, maxPositions: 30 };
  const failure = await failureOf({
    model: { scratch },
    stages: [sft] as TrainConfig['stages'],
    evaluation: undefined as never,
  });
  expect(failure).toMatchObject({ code: 'ERR_CONTEXT_LENGTH', message: expect.stringContaining('stage warm-up') });
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
