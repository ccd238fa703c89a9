/** Losses, gradients and AdamW against TRL and PyTorch, through the engine; scripts/make-loss-goldens.py made the goldens. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { openSession } from '../../lib/native/index.js';
import { generalisedAdvantage, kAdvantages } from '../../lib/train/advantage.js';
import type { Normaliser } from '../../lib/train/normaliser.js';
import { onCompletion, policyBatch, type TrainGroup } from '../../lib/train/policy-batch.js';
import { type PolicyGradientConfig, type PolicyTerm, policyGradient } from '../../lib/train/policy-gradient.js';
import { openModel, readTensors, relativeDistance } from './support.js';

const kFolder = fileURLToPath(new URL('../fixtures/losses', import.meta.url));
const kTolerance = 1e-4;
const kTrajectoryTolerance = 1e-5;

/** Settings in TRL's words. */
interface Case {
  readonly oracle: 'trl' | 'plain';
  readonly loss_type: 'grpo' | 'dr_grpo' | 'dapo' | 'bnpo' | 'cispo';
  readonly advantage: 'group' | 'mean' | 'leave-one-out' | 'batch' | 'gae';
  readonly epsilon_low: number;
  readonly epsilon_high: number;
  readonly delta: number | null;
  readonly beta: number;
  readonly use_bias_correction_kl: boolean;
  readonly importance_sampling_level: 'token' | 'sequence';
  readonly entropy_coef: number;
  readonly temperature: number;
  readonly mask_truncated: boolean;
  readonly gamma?: number;
  readonly lambda?: number;
  readonly loss: number;
  /** One a completion, or one a token, padded with zeros. */
  readonly advantages: readonly (number | readonly number[])[];
  readonly old: readonly (readonly number[])[];
  readonly reference: readonly (readonly number[])[];
}

interface Golden {
  readonly group: number;
  readonly batch: {
    readonly prompts: readonly (readonly number[])[];
    readonly completions: readonly (readonly number[])[];
    readonly truncated: readonly boolean[];
    readonly rewards: readonly number[];
    readonly maxTokens: number;
    readonly values: readonly (readonly number[])[];
  };
  readonly cases: Readonly<Record<string, Case>>;
  readonly adamw: {
    readonly steps: number;
    readonly weightDecay: number;
    readonly losses: readonly number[];
    readonly norms: readonly number[];
    readonly lr: number;
    readonly betas: readonly [number, number];
    readonly eps: number;
  };
}

const { group, batch, cases, adamw } = JSON.parse(readFileSync(join(kFolder, 'golden.json'), 'utf8')) as Golden;
const kNormalisers = { grpo: 'sequence', dr_grpo: 'constant', dapo: 'token', bnpo: 'token', cispo: 'token' } as const;

function advantagesOf(golden: Case): (number | ArrayLike<number>)[] {
  if (golden.advantage !== 'gae') return [...kAdvantages[golden.advantage](batch.rewards, group).values];
  return batch.values.map((values, index) => {
    const rewards = values.map((_, token) => (token + 1 === values.length ? (batch.rewards[index] as number) : 0));
    const settings = { discount: golden.gamma as number, lambda: golden.lambda as number };
    return generalisedAdvantage(rewards, values, settings).values;
  });
}

function termsOf(golden: Case, advantages: readonly (number | ArrayLike<number>)[]): PolicyTerm[] {
  const groups = batch.prompts.map((prompt, index): TrainGroup => {
    const members = batch.completions.slice(index * group, (index + 1) * group);
    const completions = members.map((tokens, member) => ({
      tokens: Int32Array.from(tokens),
      logprobs: Float32Array.from(golden.old[index * group + member] as readonly number[]),
      truncated: batch.truncated[index * group + member] as boolean,
      // Taken along to find the completion's own arrays again; a masked one is left out.
      advantage: index * group + member,
    }));
    return { prompt: Int32Array.from(prompt), completions, informative: true, age: 0 };
  });
  const normaliser: Normaliser = kNormalisers[golden.loss_type];
  const options = { normaliser, maxTokens: batch.maxTokens, maskTruncated: golden.mask_truncated, keepAll: true };
  return policyBatch(groups, options).map((sequence) => ({
    ...sequence,
    advantage: advantages[sequence.advantage] as number | ArrayLike<number>,
    oldLogprob: golden.old[sequence.advantage] as readonly number[],
    referenceLogprob: golden.beta > 0 ? golden.reference[sequence.advantage] : undefined,
  }));
}

function settingsOf(golden: Case): PolicyGradientConfig {
  const cispo = golden.loss_type === 'cispo';
  return {
    loss: cispo ? 'cispo' : golden.importance_sampling_level === 'sequence' ? 'gspo' : 'clip',
    clipLow: cispo ? 1 : golden.epsilon_low,
    clipHigh: cispo ? golden.epsilon_high - 1 : golden.epsilon_high,
    dualClip: golden.delta ?? undefined,
    kl:
      golden.beta === 0
        ? undefined
        : {
            coefficient: golden.beta,
            estimator: golden.oracle === 'plain' ? 'k2' : 'k3',
            place: 'loss',
            corrected: golden.use_bias_correction_kl,
          },
  };
}

describe.each(['cpu', 'reference'] as const)('on %s', (device) => {
  const session = openSession({ device, threads: 1 });
  afterAll(() => session.close());
  const truth = readTensors(join(kFolder, 'gradients.safetensors'));

  it.each(Object.keys(cases))('%s: loss and every gradient', async (name) => {
    const golden = cases[name] as Case;
    const advantages = advantagesOf(golden);
    for (const [index, expected] of golden.advantages.entries()) {
      const found = advantages[index] as number | ArrayLike<number>;
      const pairs =
        typeof found === 'number'
          ? [[found, expected]]
          : Array.from(found, (value, i) => [value, (expected as number[])[i]]);
      for (const [value, other] of pairs) expect(value).toBeCloseTo(other as number, 10);
    }
    const model = await openModel(session, join(kFolder, 'model'), 'f32');
    await model.enableTraining();
    const terms = termsOf(golden, advantages);
    const { temperature, entropy_coef: entropyCoefficient } = golden;
    const sequences = terms.map(({ tokens }) => tokens);
    const scores = await model.score({ sequences, temperature });
    const logprobs = scores.map((row, index) => row.subarray((terms[index] as PolicyTerm).start));
    const { sums, ...arrays } = policyGradient(terms, logprobs, settingsOf(golden));
    const result = await model.accumulateGradients({
      kind: 'policy_gradient',
      ...{ sequences, ...arrays, temperature, entropyCoefficient },
    });
    const loss = sums.policyLoss + golden.beta * sums.kl - entropyCoefficient * result.entropy;
    expect(Math.abs(loss - golden.loss)).toBeLessThan(kTolerance * Math.abs(golden.loss) + 1e-7);
    const tensors = [...truth].filter(([tensor]) => tensor.startsWith(`${name}/`));
    expect(tensors).toHaveLength(27);
    for (const [tensor, gradient] of tensors) {
      const found = await model.readTensor(tensor.slice(name.length + 1), 'gradient');
      expect(relativeDistance(found, gradient), tensor).toBeLessThan(kTolerance);
    }
    await model.dispose();
  });

  it('AdamW goes the same way for twenty steps', async () => {
    const model = await openModel(session, join(kFolder, 'model'), 'f32');
    await model.enableTraining();
    const completions = batch.completions.map((tokens) => Int32Array.from(tokens));
    const prompts = completions.map((_, index) => Int32Array.from(batch.prompts[Math.floor(index / group)] ?? []));
    const tokens = completions.reduce((sum, { length }) => sum + length, 0);
    for (let step = 1; step <= adamw.steps; step++) {
      const { loss } = await model.accumulateGradients({
        kind: 'supervised',
        sequences: completions.map((own, index) => Int32Array.from([...(prompts[index] as Int32Array), ...own])),
        weight: completions.map((own, index) => onCompletion(prompts[index] as Int32Array, own, () => 1 / tokens)),
      });
      const { gradientNorm } = await model.applyGradients({
        ...{ learningRate: adamw.lr, beta1: adamw.betas[0], beta2: adamw.betas[1], epsilon: adamw.eps, step },
        ...{ weightDecay: adamw.weightDecay, maxGradientNorm: 1 },
      });
      expect(Math.abs(loss / (adamw.losses[step - 1] as number) - 1)).toBeLessThan(kTrajectoryTolerance);
      expect(Math.abs(gradientNorm / (adamw.norms[step - 1] as number) - 1)).toBeLessThan(kTolerance);
    }
    for (const [tensor, weights] of readTensors(join(kFolder, 'adamw.safetensors'))) {
      expect(relativeDistance(await model.readTensor(tensor), weights), tensor).toBeLessThan(kTrajectoryTolerance);
    }
    await model.dispose();
  });
});
