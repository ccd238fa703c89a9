/** PPO with a critic against PyTorch and TRL, through the engine; scripts/make-ppo-goldens.py made the goldens. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { type Model, openSession, readModelFolder } from '../../lib/native/index.js';
import { generalisedAdvantage, whitened } from '../../lib/train/advantage.js';
import { type PolicySequence, policyBatch, type SequencePlace, type TrainGroup } from '../../lib/train/policy-batch.js';
import { policyGradient } from '../../lib/train/policy-gradient.js';
import { tokenPenalties, tokenRewards } from '../../lib/train/reward-shaping.js';
import { type ValueTarget, valueGradient } from '../../lib/train/value-loss.js';
import { readTensors, relativeDistance } from './support.js';

const kFolder = fileURLToPath(new URL('../fixtures/losses', import.meta.url));
const kGroup = 3;
const kTolerance = 1e-4;

type Rows = readonly (readonly number[])[];
interface Case {
  readonly gamma: number;
  readonly lambda: number;
  readonly clip: number | null;
  readonly kl: number;
  readonly coefficient: number;
  readonly mask_truncated: boolean;
  readonly entropy_coef: number;
  readonly policyLoss: number;
  readonly valueLoss: number;
  readonly clipped: number;
  readonly advantages: Rows;
  readonly returns: Rows;
  readonly values: Rows;
  readonly oldValues: Rows;
  readonly old: Rows;
  readonly reference: Rows;
}
interface Golden {
  readonly batch: {
    readonly prompts: Rows;
    readonly completions: Rows;
    readonly truncated: readonly boolean[];
    readonly rewards: readonly number[];
    readonly maxTokens: number;
  };
  readonly cases: Readonly<Record<'own' | 'shared', Case>>;
}

const { batch, cases } = JSON.parse(readFileSync(join(kFolder, 'ppo.json'), 'utf8')) as Golden;
const truth = readTensors(join(kFolder, 'ppo-gradients.safetensors'));

/** Advantages as they are trained on, and returns: what ppo.ts makes of rewards and values. */
function estimates(golden: Case) {
  const found = batch.completions.map(({ length }, index) => {
    const [old, reference] = [golden.old[index] as readonly number[], golden.reference[index] as readonly number[]];
    const kl = { coefficient: golden.kl, estimator: 'k1' } as const;
    const penalties = golden.kl > 0 ? tokenPenalties(old, reference, kl) : undefined;
    const rewards = tokenRewards(batch.rewards[index] as number, length, penalties);
    const settings = { discount: golden.gamma, lambda: golden.lambda };
    return generalisedAdvantage(rewards, golden.oldValues[index] as readonly number[], settings);
  });
  const active = batch.truncated.map((truncated) => !(golden.mask_truncated && truncated));
  const raw = found.map(({ values }) => values);
  return { advantages: whitened(raw, active), returns: found.map(({ returns }) => returns), active };
}

function sequencesOf(golden: Case): PolicySequence<Float64Array>[] {
  const { advantages, returns } = estimates(golden);
  const groups = batch.prompts.map((prompt, group): TrainGroup<Float64Array> => {
    const members = batch.completions.slice(group * kGroup, (group + 1) * kGroup);
    const completions = members.map((tokens, member) => {
      const index = group * kGroup + member;
      return {
        tokens: Int32Array.from(tokens),
        logprobs: Float32Array.from(golden.old[index] as readonly number[]),
        truncated: batch.truncated[index] as boolean,
        advantage: advantages[index] as Float64Array,
        target: { old: golden.oldValues[index] as readonly number[], returns: returns[index] as Float64Array },
      };
    });
    return { prompt: Int32Array.from(prompt), completions, informative: true, age: 0 };
  });
  const { maxTokens } = batch;
  return policyBatch(groups, { normaliser: 'token', maxTokens, maskTruncated: golden.mask_truncated, keepAll: true });
}

const flat = (rows: readonly ArrayLike<number>[]) => rows.flatMap((row) => Array.from(row));
function requireClose(found: readonly ArrayLike<number>[], expected: Rows, digits: number): void {
  const [a, b] = [flat(found), flat(expected)];
  expect(a).toHaveLength(b.length);
  for (const [index, value] of a.entries()) expect(value).toBeCloseTo(b[index] as number, digits);
}

async function requireGradients(model: Model, name: 'own' | 'shared'): Promise<void> {
  const tensors = [...truth].filter(([tensor]) => tensor.startsWith(`${name}/`));
  expect(tensors).toHaveLength(name === 'own' ? 27 : 28);
  for (const [tensor, gradient] of tensors) {
    const found = await model.readTensor(tensor.slice(name.length + 1), 'gradient');
    expect(relativeDistance(found, gradient), tensor).toBeLessThan(kTolerance);
  }
}

const near = (found: number, expected: number) =>
  expect(Math.abs(found - expected)).toBeLessThan(kTolerance * Math.abs(expected) + 1e-7);

describe.each(['cpu', 'reference'] as const)('on %s', (device) => {
  const session = openSession({ device, threads: 1 });
  afterAll(() => session.close());

  async function open(): Promise<Model> {
    const { config, weightFiles } = readModelFolder(join(kFolder, 'model'));
    const paths = [...weightFiles, join(kFolder, 'model', 'value_head.safetensors')];
    const native = { ...config, valueHead: true };
    const model = await session.createModel({ config: native, dtype: 'f32', source: { kind: 'files', paths } });
    await model.enableTraining();
    return model;
  }

  const valuesOf = async (model: Model, sequences: readonly PolicySequence<unknown>[]) => {
    const all = await model.values({ sequences: sequences.map(({ tokens }) => tokens) });
    return all.map((row, index) => row.subarray((sequences[index] as SequencePlace).start));
  };
  const targets = (sequences: readonly PolicySequence<unknown>[]) =>
    sequences.map((sequence) => ({ ...sequence, target: sequence.target as ValueTarget }));

  it.each(['own', 'shared'] as const)('%s body: rewards, advantages and returns of every token', (name) => {
    const { advantages, returns } = estimates(cases[name]);
    requireClose(advantages, cases[name].advantages, 8);
    requireClose(returns, cases[name].returns, 12);
  });

  it('own body: values, loss and every gradient of the critic', async () => {
    const golden = cases.own;
    const model = await open();
    const sequences = sequencesOf(golden);
    const values = await valuesOf(model, sequences);
    requireClose(values, golden.values, 5);
    const { gradient, sums } = valueGradient(targets(sequences), values, { clip: golden.clip ?? undefined });
    near(sums.loss, golden.valueLoss);
    expect(sums.clipped).toBe(golden.clipped);
    expect(golden.clipped).toBeGreaterThan(0);
    await model.accumulateGradients({
      kind: 'value',
      sequences: sequences.map(({ tokens }) => tokens),
      valueGradient: gradient,
    });
    await requireGradients(model, 'own');
    expect(new Set(await model.readTensor('lm_head.weight', 'gradient'))).toEqual(new Set([0]));
    await model.dispose();
  });

  it('shared body: both losses, and every gradient of their sum', async () => {
    const golden = cases.shared;
    const model = await open();
    const sequences = sequencesOf(golden);
    expect(sequences).toHaveLength(batch.completions.length - 1);
    const tokens = sequences.map((sequence) => sequence.tokens);
    const scores = await model.score({ sequences: tokens });
    const logprobs = scores.map((row, index) => row.subarray((sequences[index] as SequencePlace).start));
    const terms = sequences.map((sequence) => ({ ...sequence, oldLogprob: sequence.sampledLogprob }));
    const settings = { loss: 'clip', clipLow: 0.2, clipHigh: 0.2, dualClip: undefined, kl: undefined } as const;
    const { sums, ...arrays } = policyGradient(terms, logprobs, settings);
    const { coefficient } = golden;
    const critic = valueGradient(targets(sequences), await valuesOf(model, sequences), { coefficient });
    near(critic.sums.loss, golden.valueLoss);
    const result = await model.accumulateGradients({
      kind: 'policy_gradient',
      ...{ sequences: tokens, ...arrays, valueGradient: critic.gradient, entropyCoefficient: golden.entropy_coef },
    });
    near(sums.policyLoss - golden.entropy_coef * result.entropy, golden.policyLoss);
    await requireGradients(model, 'shared');
    await model.dispose();
  });

  it('would show a flaw: a value read one token late', async () => {
    const model = await open();
    const sequences = sequencesOf(cases.own);
    const { gradient } = valueGradient(targets(sequences), await valuesOf(model, sequences), { clip: 0.3 });
    await model.accumulateGradients({
      kind: 'value',
      sequences: sequences.map(({ tokens }) => tokens),
      valueGradient: gradient.map((row) => Float32Array.from([...row.slice(1), 0])),
    });
    await expect(requireGradients(model, 'own')).rejects.toThrow('less than');
    await model.dispose();
  });
});
