/** The plan of a run against what the run then does, and that planning leaves nothing behind. */
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { planTraining } from '../../lib/native/index.js';
import { toNativeLoss } from '../../lib/native/requests.js';
import { planText } from '../../lib/report/plan-text.js';
import { resolveConfig, type TrainConfig } from '../../lib/train/config.js';
import type { StepRecord } from '../../lib/train/events.js';
import { planRun } from '../../lib/train/plan.js';
import { countParameters, scratchModel } from '../../lib/train/setup.js';
import { train } from '../../lib/train/trainer.js';
import { tinyRun } from './tiny-run.js';

const folder = () => join(mkdtempSync(join(tmpdir(), 'winnow-plan-')), 'run');
const tiny = (change: Partial<TrainConfig> = {}) => resolveConfig({ ...tinyRun(folder()), ...change });

describe('planRun', () => {
  it('tells the parameters, tokens and prompts of the run that follows, and writes nothing', async () => {
    const config = tiny({ stages: tinyRun('').stages.map((stage) => ({ ...stage, steps: 1 })) });
    const plan = await planRun(config, { prompts: 2 });
    expect(existsSync(config.output)).toBe(false);
    const steps: StepRecord[] = [];
    let parameters = 0;
    const samples: string[] = [];
    for await (const event of train({ ...config, evaluation: undefined })) {
      if (event.type === 'start') parameters = event.parameters;
      if (event.type !== 'step') continue;
      steps.push(event.record);
      samples.push(...event.samples.map(({ prompt }) => prompt));
    }
    expect(plan.parameters).toBe(parameters);
    expect(plan).toMatchObject({ trainInstances: 12, testInstances: 4, dtype: 'f32', maxPositions: 128 });
    const [sft, grpo] = plan.stages;
    // All positions of a step are looked at here, so that the supervised count is exact.
    expect((sft?.promptTokens ?? 0) + (sft?.completionTokens ?? 0)).toBe(steps[0]?.metrics.num_tokens);
    expect(sft).toMatchObject({ exact: true, kind: 'sft', steps: 1 });
    expect(grpo).toMatchObject({ exact: false, completionTokens: 4 * 4 * 24 });
    const own = (steps[1]?.metrics.num_tokens ?? 0) - (steps[0]?.metrics.num_tokens ?? 0);
    const completions = (steps[1]?.metrics['completions/mean_length'] ?? 0) * 16;
    expect(4 * (grpo?.promptTokens ?? 0)).toBeCloseTo(own - completions, 6);
    expect(grpo?.prompts).toHaveLength(2);
    expect(grpo?.prompts[0]?.startsWith('<think>') || grpo?.prompts[0]?.includes('[A]')).toBe(true);
    expect(plan.speed).toBeGreaterThan(1e6);
  });

  it("has the engine's own memory plan, and counts FLOPs as one would by hand", async () => {
    const config = tiny();
    const plan = await planRun(config);
    const [sft, grpo] = plan.stages;
    const scratch = config.model.scratch as NonNullable<typeof config.model.scratch>;
    const vocabulary = (plan.parameters - countParameters(scratchModel(scratch, 0))) / scratch.width;
    const native = scratchModel(scratch, vocabulary);
    const memory = planTraining({ config: native, dtype: 'f32', maxBatchTokens: 256, threads: 1 });
    expect(sft?.memory).toEqual({
      ...{ weights: memory.weightsBytes, optimizer: memory.optimizerBytes, activations: memory.activationsBytes },
      ...{ head: memory.headBytes, keys: memory.kvStoreBytes, scratch: memory.scratchBytes },
      ...{ reference: 0, critic: 0, sampling: 0 },
    });
    expect(grpo?.memory.sampling).toBeGreaterThan(0);
    const { promptTokens = 0, completionTokens = 0 } = sft ?? {};
    // Norms are counted with the weights of the body: 2 a layer of the width, 2 of the head size, 1 at the end.
    const body = 2 * (4 * 16 * 16 + 3 * 16 * 24 + 2 * 16 + 2 * 8) + 16;
    const forward = 2 * body * (promptTokens + completionTokens) + 2 * vocabulary * 16 * completionTokens;
    expect(sft?.flops).toBe(3 * forward);
    const tokens = [grpo?.promptTokens ?? 0, grpo?.completionTokens ?? 0] as const;
    expect(grpo?.flops).toBe(3 * (2 * body * (tokens[0] + tokens[1]) + 2 * vocabulary * 16 * tokens[1]));
  });

  it('plans the logits of as many rows as a gradient then computes at once', () => {
    const scratch = tiny().model.scratch as NonNullable<ReturnType<typeof tiny>['model']['scratch']>;
    const config = scratchModel(scratch, 100);
    const { headChunkRows } = toNativeLoss({ sequences: [Int32Array.of(1, 2)], kind: 'value' });
    const row = 4 * (100 + 2 * scratch.width + 8);
    expect(resolveConfig(tiny()).stages[0]?.headChunkRows).toBe(headChunkRows);
    expect(planTraining({ config, dtype: 'f32' }).headBytes).toBe(headChunkRows * row);
    expect(planTraining({ config, dtype: 'f32', headChunkRows: 7 }).headBytes).toBe(7 * row);
  });

  it('counts the reference once more, and updates on kept completions', async () => {
    const { stages } = tinyRun('');
    const grpo = { ...stages[1], kl: { coefficient: 0.1 }, reference: 'stage-start', updates: 3 } as (typeof stages)[1];
    const [once, thrice] = [
      await planRun(tiny()),
      await planRun(tiny({ stages: [stages[0] as never, grpo as never] })),
    ];
    expect(once.stages[1]?.memory.reference).toBe(0);
    expect(thrice.stages[1]?.memory.reference).toBe(thrice.stages[1]?.memory.weights);
    expect(thrice.stages[1]?.flops).toBe(3 * (once.stages[1]?.flops ?? 0));
  });

  it('plans less memory where layers are computed again', async () => {
    const stages = tinyRun('').stages.map((stage) => ({ ...stage, recompute: 'layer' as const }));
    const model = { scratch: { width: 16, layers: 8, heads: 2, headDim: 8, maxPositions: 128 } };
    const [all, inputs] = [await planRun(tiny({ model })), await planRun(tiny({ model, stages }))];
    const activations = ({ stages: [first] }: typeof all) => first?.memory.activations ?? 0;
    expect(activations(inputs)).toBeLessThan(activations(all) / 2);
    const head = ({ stages: [first] }: typeof all) => first?.memory.head ?? 0;
    const few = stages.map((stage) => ({ ...stage, headChunkRows: 32 }));
    expect(head(await planRun(tiny({ model, stages: few })))).toBe(head(all) / 16);
    // What the sampler keeps is the same.
    expect(inputs.stages[1]?.memory.sampling).toBe(all.stages[1]?.memory.sampling);
  });

  it("counts PPO's critic: all of a second model that trains but the logits, or a head", async () => {
    const ppo = { kind: 'ppo', steps: 2, prompts: 4, group: 4, maxTokens: 24, learningRate: 0.01, maxBatchTokens: 256 };
    const planOf = async (change: object) =>
      (await planRun(tiny({ stages: [tinyRun('').stages[0], { ...ppo, ...change }] as never }))).stages[1];
    const [grpo, own, shared] = [
      (await planRun(tiny())).stages[1],
      await planOf({ updates: 2 }),
      await planOf({ critic: { body: 'shared' } }),
    ];
    const { weights, optimizer, activations, critic } = own?.memory ?? {};
    const head = 4 * 4 * 16;
    expect(critic).toBeGreaterThan((weights ?? 0) + (optimizer ?? 0) + (activations ?? 0) + head);
    expect(grpo?.memory.critic).toBe(0);
    expect(shared?.memory.critic).toBe(0);
    // The head, its gradient and moments.
    expect(shared?.memory.optimizer).toBe((grpo?.memory.optimizer ?? 0) + head);
    const body = 2 * (4 * 16 * 16 + 3 * 16 * 24 + 2 * 16 + 2 * 8) + 16;
    const tokens = (own?.promptTokens ?? 0) + (own?.completionTokens ?? 0);
    expect(own?.flops).toBe(2 * (grpo?.flops ?? 0) + 7 * 2 * body * tokens);
  });

  it('counts 8-bit moments and split masters', async () => {
    const bytes = async (change: Partial<TrainConfig>) =>
      (await planRun(tiny(change))).stages[0]?.memory.optimizer ?? 0;
    const all = await bytes({});
    const [small, split] = [
      await bytes({ optimizer: { moments: '8bit' } }),
      await bytes({ optimizer: { masters: 'split' } }),
    ];
    // Gradient and master keep 8 of 16 bytes; moments of matrices go from 8 to 2 and 1/32.
    expect(small / all).toBeGreaterThan(10 / 16);
    expect(small / all).toBeLessThan(10.5 / 16);
    expect(split).toBeLessThan(all);
  });

  it('fails as the run would, before weights are made', async () => {
    const missing = tiny({ data: { train: '/nonexistent.jsonl' }, evaluation: undefined as never });
    await expect(planRun(missing)).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_/) });
  });
});

describe('planText', () => {
  it('says what does not fit', async () => {
    const plan = await planRun(tiny());
    const text = planText(plan, 2 ** 34);
    for (const part of [
      'stage warm-up (sft): 6 steps',
      'at most 384 of completions',
      'first prompt:',
      'Nothing was written.',
    ]) {
      expect(text).toContain(part);
    }
    expect(text).not.toContain('TOO');
    expect(planText(plan, 1000)).toContain('TOO LARGE');
    expect(planText({ ...plan, maxPositions: 10 }, 2 ** 34)).toContain('TOO LONG');
  });
});
