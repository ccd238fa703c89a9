/** Both kinds of stage and an evaluation with every protocol, on the real engine and a tiny model. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { TrainConfig } from '../../lib/train/config.js';
import { train } from '../../lib/train/trainer.js';
import { tinyRun } from './tiny-run.js';

const folder = mkdtempSync(join(tmpdir(), 'winnow-protocols-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const protocols: readonly NonNullable<TrainConfig['protocol']>[] = [
  { name: 'direct', wording: 'compact' },
  { name: 'setwise', wording: 'compact', window: 3, topK: 2, sort: 'insertion' },
  { name: 'listwise', wording: 'compact', window: 3, stride: 1 },
  { name: 'pointwise', wording: 'compact', positive: ' keep', negative: ' drop' },
  { name: 'pointwise', wording: 'compact', score: 'stated' },
  { name: 'exclusion', wording: 'compact', perStep: 2, direction: 'best', reward: 'potential' },
];

it.each(protocols.map((protocol, index) => [JSON.stringify(protocol), protocol, index] as const))(
  'trains and ranks with %s',
  async (_, protocol, index) => {
    const base = tinyRun(join(folder, String(index)));
    const stages: TrainConfig['stages'] = [
      { kind: 'sft', steps: 2, batch: 4, learningRate: 0.01, maxBatchTokens: 256 },
      { kind: 'grpo', steps: 2, prompts: 3, group: 3, maxTokens: 12, learningRate: 0.005, maxBatchTokens: 256 },
    ];
    const losses: number[] = [];
    const rows: string[] = [];
    for await (const event of train({ ...base, protocol, stages })) {
      if (event.type === 'step') losses.push(event.record.metrics.loss ?? 0);
      if (event.type === 'evaluation') {
        rows.push(event.record.label);
        const { mean } = event.record.measures.mrr as { mean: number };
        expect(mean).toBeGreaterThan(0);
        expect(mean).toBeLessThanOrEqual(1);
      }
    }
    expect(losses.length).toBe(4);
    for (const loss of losses) expect(Number.isFinite(loss)).toBe(true);
    expect(losses[0]).toBeGreaterThan(1);
    expect(rows).toContain('untrained');
    expect(rows).toContain('after grpo');
  },
);
