/** One gradient, however it is come by: split or whole, prompts shared or repeated, the loss computed here or in the engine. */
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { type Model, openSession } from '../../lib/native/index.js';
import { RandomStream } from '../../lib/random.js';
import { concatenate } from '../../lib/train/policy-batch.js';
import { type PolicyTerm, policyGradient } from '../../lib/train/policy-gradient.js';
import { openModel, readTensors, relativeDistance } from '../golden/support.js';

const kModel = fileURLToPath(new URL('../fixtures/losses/model', import.meta.url));
const kTensors = [...readTensors(`${kModel}/model.safetensors`).keys()];
/** Sums in another order differ by the rounding of f32. */
const kRounding = 2e-6;

const session = openSession({ device: 'cpu', threads: 1 });
afterAll(() => session.close());

async function open(): Promise<Model> {
  const model = await openModel(session, kModel, 'f32');
  await model.enableTraining();
  return model;
}

const random = new RandomStream(4, 'policy-engine');
const draw = (count: number) => Int32Array.from({ length: count }, () => random.integer(37));
const noisy = (row: Float32Array, scale: number) => row.map((value) => value + scale * random.normal());

// Two prompts, three completions each, log-probabilities of old and reference near the current ones.
const prompts = [draw(9), draw(6)];
const completions = [draw(5), draw(2), draw(9), draw(4), draw(7), draw(1)];
const sequences = completions.map((own, index) => concatenate(prompts[Math.floor(index / 3)] as Int32Array, own));

async function makeTerms(model: Model): Promise<{ terms: PolicyTerm[]; logprobs: Float32Array[] }> {
  const scores = await model.score({ sequences });
  const starts = sequences.map((_, index) => (prompts[Math.floor(index / 3)] as Int32Array).length);
  const logprobs = scores.map((row, index) => row.subarray(starts[index]));
  const terms = logprobs.map((row, index) => ({
    ...{ tokens: sequences[index] as Int32Array, start: starts[index] as number, weight: 1 / 28, age: 0 },
    ...{ advantage: random.normal(), sampledLogprob: row },
    ...{ oldLogprob: noisy(row, 0.3), referenceLogprob: noisy(row, 0.5) },
  }));
  return { terms, logprobs };
}

const config = {
  loss: 'clip',
  ...{ clipLow: 0.2, clipHigh: 0.3, dualClip: undefined },
  kl: { coefficient: 0.1, estimator: 'k3', place: 'loss', corrected: false },
} as const;

async function gradients(model: Model): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  for (const tensor of kTensors) all.push(await model.readTensor(tensor, 'gradient'));
  return all;
}

const requireNear = (found: readonly Float32Array[], expected: readonly Float32Array[]) => {
  for (const [index, tensor] of kTensors.entries()) {
    const distance = relativeDistance(found[index] as Float32Array, expected[index] as Float32Array);
    expect(distance, tensor).toBeLessThan(kRounding);
  }
};

describe('the gradient of one policy loss', async () => {
  const model = await open();
  const { terms, logprobs } = await makeTerms(model);
  const { sums, ...arrays } = policyGradient(terms, logprobs, config);
  const whole = async (maxBatchTokens: number, entropyCoefficient = 0.01) => {
    const own = await open();
    const result = await own.accumulateGradients({
      kind: 'policy_gradient',
      ...{ sequences, ...arrays, entropyCoefficient, maxBatchTokens },
    });
    return { result, gradients: await gradients(own) };
  };
  const reference = await whole(1024);

  it('is that of the loss inside the engine, which has the clip, k3 and the entropy', async () => {
    const own = await open();
    const onTokens = (values: (term: PolicyTerm) => ArrayLike<number>) =>
      terms.map((term) => {
        const row = new Float32Array(term.tokens.length);
        row.set(Array.from(values(term)), term.start);
        return row;
      });
    const result = await own.accumulateGradients({
      kind: 'policy_gradient',
      ...{
        sequences,
        weight: arrays.weight,
        clipLow: 0.2,
        clipHigh: 0.3,
        klCoefficient: 0.1,
        entropyCoefficient: 0.01,
      },
      advantage: onTokens(({ advantage, oldLogprob }) => new Array(oldLogprob.length).fill(advantage)),
      oldLogprob: onTokens(({ oldLogprob }) => oldLogprob),
      referenceLogprob: onTokens(({ referenceLogprob }) => referenceLogprob as ArrayLike<number>),
    });
    requireNear(await gradients(own), reference.gradients);
    expect(sums.policyLoss).toBeCloseTo(result.policyLoss, 5);
    expect(sums.kl).toBeCloseTo(result.kl, 5);
    expect(sums.clippedLow + sums.clippedHigh).toBe(result.clipped);
    expect(result.clipped).toBeGreaterThan(0);
  });

  it('is the same from many micro-batches as from one', async () => {
    const split = await whole(16);
    requireNear(split.gradients, reference.gradients);
    expect(split.result.entropy).toBeCloseTo(reference.result.entropy, 6);
    expect(split.result.logprobs).toEqual(reference.result.logprobs);
  });

  it('is the same with the prompts computed once as with a prompt for each completion', async () => {
    const own = await open();
    let computed = 0;
    for (const [index, tokens] of sequences.entries()) {
      const { forestTokens } = await own.accumulateGradients({
        kind: 'policy_gradient',
        sequences: [tokens],
        weight: [arrays.weight[index] as Float32Array],
        advantage: [arrays.advantage[index] as Float32Array],
        entropyCoefficient: 0.01,
      });
      computed += forestTokens;
    }
    requireNear(await gradients(own), reference.gradients);
    expect(computed).toBeGreaterThan(reference.result.forestTokens);
    expect(computed).toBe(reference.result.sequenceTokens);
  });

  it('would show a flaw: another advantage of one token moves it', async () => {
    (arrays.advantage[1] as Float32Array)[9] = 1 + ((arrays.advantage[1] as Float32Array)[9] as number);
    const moved = await whole(1024);
    expect(() => requireNear(moved.gradients, reference.gradients)).toThrow();
  });
});
