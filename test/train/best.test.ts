/** Keeping the best checkpoint and ending a stage early: the pure choices, and runs that are steered by them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bestStep, patienceIsOver } from '../../lib/train/best.js';
import { resolveConfig } from '../../lib/train/config.js';
import type { EvaluationRecord } from '../../lib/train/events.js';
import { readJournal } from '../../lib/train/journal.js';
import { train } from '../../lib/train/trainer.js';
import { checkpoints, events, fake, file, makeConfig } from './fake-run.js';

const row = (step: number, mrr: number, kind: EvaluationRecord['kind'] = 'progress', malformed = 0) => ({
  ...({ type: 'evaluation', step, label: String(step), kind, instances: 1, perInstance: {} } as const),
  measures: {
    mrr: { mean: mrr, low: mrr, high: mrr },
    malformed_rate: { mean: malformed, low: malformed, high: malformed },
  },
});

describe('bestStep', () => {
  it('is the earliest of the best, baselines and the untrained model apart', () => {
    const rows = [row(0, 0.9, 'model'), row(2, 0.95, 'baseline'), row(2, 0.3), row(4, 0.5), row(6, 0.5), row(8, 0.1)];
    expect(bestStep(rows, 'mrr')).toBe(4);
    expect(bestStep(rows.slice(0, 2), 'mrr')).toBeUndefined();
    expect(bestStep([], 'mrr')).toBeUndefined();
    expect(bestStep(rows, 'exclusion_accuracy')).toBeUndefined();
  });

  it('takes the least of a rate of faults', () => {
    expect(
      bestStep([row(1, 0, 'model', 0.5), row(2, 0, 'model', 0.1), row(3, 0, 'model', 0.2)], 'malformed_rate'),
    ).toBe(2);
  });
});

describe('patienceIsOver', () => {
  const patience = { evaluations: 2, measure: 'mrr', minimumGain: 0.05 } as const;
  it('counts evaluations since the last gain that is large enough', () => {
    const rows = [row(0, 0.1, 'model'), row(2, 0.3), row(4, 0.34), row(6, 0.35)];
    expect(patienceIsOver(rows.slice(0, 3), patience, 0)).toBe(false);
    expect(patienceIsOver(rows, patience, 0)).toBe(true);
    expect(patienceIsOver(rows, { ...patience, minimumGain: 0 }, 0)).toBe(false);
    // Small gains add up: each is measured against the last one that counted.
    expect(patienceIsOver([...rows.slice(0, 3), row(6, 0.36)], patience, 0)).toBe(false);
  });

  it('begins anew with each stage, from the evaluation that it starts at', () => {
    const rows = [row(0, 0.9, 'model'), row(2, 0.1), row(4, 0.1), row(4, 0.1, 'model'), row(6, 0.05)];
    expect(patienceIsOver(rows, patience, 0)).toBe(true);
    expect(patienceIsOver(rows, patience, 4)).toBe(false);
    expect(patienceIsOver([...rows, row(8, 0.08)], patience, 4)).toBe(true);
    expect(patienceIsOver([], patience, 0)).toBe(false);
  });
});

describe('a run with a best checkpoint', () => {
  const config = () => makeConfig({ checkpoint: { every: 100, keep: 1, best: { measure: 'mrr' } } });

  it('keeps it, names it, and returns it', async () => {
    const settings = config();
    const result = await train(settings, fake());
    const rows = result.evaluations.filter(({ kind, step }) => kind !== 'baseline' && step > 0);
    const best = bestStep(result.evaluations, 'mrr') as number;
    expect(
      rows
        .map(({ measures }) => measures.mrr?.mean ?? 0)
        .sort()
        .at(-1),
    ).toBe(rows.find(({ step }) => step === best)?.measures.mrr?.mean);
    const name = `step-0000000${best}`;
    expect(result.bestCheckpoint).toBe(join(settings.output, 'checkpoints', name));
    expect(file(settings, 'checkpoints/best')).toBe(`${name}\n`);
    expect(checkpoints(settings)).toEqual([...new Set(['best', 'latest', name, 'step-00000009'])]);
  });

  it('is found again after a stop, and the resumed run ends with the same files', async () => {
    const [whole, cut] = [config(), config()];
    await train(whole, fake());
    for await (const event of train(cut, fake())) if (event.type === 'step' && event.record.step === 6) break;
    await train(cut, { ...fake(), resume: true });
    expect(checkpoints(cut)).toEqual(checkpoints(whole));
    expect(file(cut, 'checkpoints/best')).toBe(file(whole, 'checkpoints/best'));
    expect(file(cut, 'metrics.jsonl')).toBe(file(whole, 'metrics.jsonl'));
  });
});

describe('a run with patience', () => {
  const evaluation = { maxTokens: 40, everySteps: 1, resamples: 50, temperature: 1 };
  const config = () =>
    makeConfig({
      // Nothing is learnt at a rate this small, so that the second evaluation without a gain ends the stage.
      stages: [
        { kind: 'sft', steps: 9, batch: 4, learningRate: 1e-12 },
        { kind: 'grpo', steps: 9, prompts: 4, group: 4, maxTokens: 40, learningRate: 1e-12 },
      ],
      evaluation: { ...evaluation, patience: { evaluations: 2 } },
      checkpoint: { every: 100, keep: 9 },
    });

  it('ends each stage early, with its row, its gain and a checkpoint, and is complete', async () => {
    const settings = config();
    const all = await events(settings, fake());
    const labels = all.flatMap((event) => (event.type === 'evaluation' ? [event.record.label] : []));
    expect(labels.slice(3)).toEqual([
      ...['warm-up step 1', 'warm-up step 2', 'after warm-up', 'grpo step 1', 'grpo step 2', 'after grpo'],
    ]);
    expect(all.at(-1)).toMatchObject({ type: 'done', status: 'completed', step: 4 });
    expect(checkpoints(settings)).toEqual(['latest', 'step-00000002', 'step-00000004']);
    const lines = readJournal(settings.output, 'metrics') as { type: string; label?: string }[];
    expect(lines.filter(({ type }) => type === 'comparison').map(({ label }) => label)).toEqual([
      ...['after warm-up', 'after grpo'],
    ]);
  });

  it('is complete when it is resumed, and resumes between two stages that ended early', async () => {
    const [whole, cut] = [config(), config()];
    await train(whole, fake());
    for await (const event of train(cut, fake())) if (event.type === 'checkpoint') break;
    const result = await train(cut, { ...fake(), resume: true });
    expect(result).toMatchObject({ status: 'completed', step: 4 });
    expect(file(cut, 'metrics.jsonl')).toBe(file(whole, 'metrics.jsonl'));
    const again = await events(cut, { ...fake(), resume: true });
    expect(again.map(({ type }) => type)).toEqual(['start', 'done']);
    expect(readFileSync(join(cut.output, 'metrics.jsonl'), 'utf8')).toBe(file(whole, 'metrics.jsonl'));
  });
});

describe('steering that cannot work is refused', () => {
  const cases: [what: string, change: Parameters<typeof makeConfig>[0], path: string][] = [
    [
      'best without evaluation',
      { evaluation: undefined as never, checkpoint: { best: { measure: 'mrr' } } },
      'checkpoint.best',
    ],
    [
      'patience without evaluations',
      { evaluation: { maxTokens: 4, patience: { evaluations: 1 } } },
      'evaluation.patience',
    ],
    [
      'exclusion accuracy of a list',
      { protocol: { name: 'direct' }, checkpoint: { best: { measure: 'exclusion_accuracy' } } },
      'checkpoint.best.measure',
    ],
  ];
  for (const [what, change, path] of cases) {
    it(what, () => {
      expect(() => resolveConfig(makeConfig(change))).toThrowError(
        expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining(path) }),
      );
    });
  }
});
