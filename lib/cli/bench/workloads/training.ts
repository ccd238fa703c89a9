/** A full training step, and GRPO steps in their phases. */
import type { Model, Recompute, TrainingForms } from '../../../native/index.js';
import { type GroupShape, grpoPhases, trainPhases } from '../accounting.js';
import { type BenchCase, type BenchSettings, type CaseResult, timed, tokenLists, type Workload } from '../case.js';
import { benchShapes } from '../shapes.js';

const LEARNING_RATE = 1e-6;
/** A first step, which touches all memory for the first time, and the one that counts. */
const STEPS = 2;

export interface TrainShape {
  readonly sequences: number;
  readonly length: number;
}

/** One step on whole sequences: mean next-token cross-entropy, backward, AdamW. */
async function trainStep(model: Model, sequences: readonly Int32Array[], step: number): Promise<CaseResult> {
  const entries = sequences.reduce((sum, { length }) => sum + length - 1, 0);
  const weight = sequences.map(({ length }) => Float32Array.from({ length }, (_, i) => (i === 0 ? 0 : 1 / entries)));
  const whole = await timed(async () => {
    const gradients = await timed(() => model.accumulateGradients({ sequences, kind: 'supervised', weight }));
    const update = await timed(() => model.applyGradients({ learningRate: LEARNING_RATE, step, maxGradientNorm: 0 }));
    return { gradients, update };
  });
  const { gradients, update } = whole.value;
  const { forwardSeconds, headSeconds, backwardSeconds, loss } = gradients.value;
  const phaseSeconds = {
    forward: forwardSeconds,
    head: headSeconds,
    backward: backwardSeconds,
    'gradient, rest': gradients.seconds - forwardSeconds - headSeconds - backwardSeconds,
    update: update.seconds,
  };
  return { seconds: [whole.seconds], details: { loss }, phaseSeconds };
}

/** Runs the steps and keeps the last; the loss is of the first, before any update. */
async function lastStep(step: (number: number) => Promise<CaseResult>): Promise<CaseResult> {
  let last: CaseResult | undefined;
  let firstLoss: number | undefined;
  for (let number = 1; number <= STEPS; number++) {
    last = await step(number);
    firstLoss ??= last.details.loss;
  }
  const { details, ...rest } = last as CaseResult;
  return { ...rest, details: firstLoss === undefined ? details : { ...details, loss: firstLoss } };
}

export function trainCase({ sequences: count, length }: TrainShape, { shape, dtype }: BenchSettings): BenchCase {
  const config = benchShapes[shape];
  const sequences = tokenLists(count, length, config.vocabulary);
  return {
    name: `train ${count}x${length}`,
    phases: trainPhases(config, dtype, { sequences: count, length }),
    tokens: count * length,
    async run({ loadModel }) {
      const model = await loadModel();
      await model.enableTraining();
      return lastStep((step) => trainStep(model, sequences, step));
    },
    peer: {
      benchmark: 'train',
      body: { sequences: sequences.map((s) => Array.from(s)), learningRate: LEARNING_RATE, steps: STEPS },
      warmups: STEPS - 1,
      scale: 1,
      expected: {},
    },
  };
}

export const train: Workload = (settings) => [trainCase({ sequences: 4, length: 256 }, settings)];

/** What a training run may choose of memory against time (docs/memory.md). */
export interface StepMemory {
  readonly forms: TrainingForms;
  readonly maxActivationBytes: number;
  readonly recompute: Recompute;
  readonly headChunkRows: number;
}

const fastest: StepMemory = {
  forms: { moments: 'f32', masters: 'f32' },
  maxActivationBytes: 2 ** 33,
  recompute: 'none',
  headChunkRows: 512,
};

/** One GRPO step: sample a group, accumulate its policy gradient, update. */
export async function grpoStep(
  model: Model,
  shape: GroupShape,
  step: number,
  memory: StepMemory = fastest,
): Promise<CaseResult> {
  const { group, prompt, completion } = shape;
  const [tokens] = tokenLists(1, prompt, model.config.vocabulary) as [Int32Array];
  const started = performance.now();
  const sampled = await timed(() =>
    model.generate({
      prompts: [tokens],
      completionsPerPrompt: group,
      maxTokens: completion,
      ignoreStopTokens: true,
      maxActivationBytes: memory.maxActivationBytes,
    }),
  );
  const completions = sampled.value.completions[0] ?? [];
  const afterPrompt = (fill: (row: number, i: number) => number): Float32Array[] =>
    completions.map((_, row) =>
      Float32Array.from({ length: prompt + completion }, (_, i) => (i < prompt ? 0 : fill(row, i - prompt))),
    );
  const gradients = await timed(() =>
    model.accumulateGradients({
      sequences: completions.map((c) => Int32Array.from([...tokens, ...c.tokens])),
      kind: 'policy_gradient',
      recompute: memory.recompute,
      headChunkRows: memory.headChunkRows,
      // The group in one pass, whatever its size: split, its prompt would be computed once a part.
      maxBatchTokens: prompt + group * completion,
      weight: afterPrompt(() => 1 / (group * completion)),
      advantage: afterPrompt((row) => (row % 2 === 0 ? 1 : -1)),
      oldLogprob: afterPrompt((row, i) => completions[row]?.logprobs[i] ?? Number.NaN),
    }),
  );
  const update = await timed(() => model.applyGradients({ learningRate: LEARNING_RATE, step }));
  const seconds = (performance.now() - started) / 1000;
  const { prefillSeconds, decodeSeconds } = sampled.value.statistics;
  const { forwardSeconds, headSeconds, backwardSeconds } = gradients.value;
  const { forestTokens, cachedTokens, maxAbsoluteLogRatio } = gradients.value;
  return {
    seconds: [seconds],
    details: {
      ...{ samplingSeconds: sampled.seconds, gradientSeconds: gradients.seconds, updateSeconds: update.seconds },
      ...{ forestTokens, cachedTokens, maxAbsoluteLogRatio },
    },
    phaseSeconds: {
      prefill: prefillSeconds,
      decode: decodeSeconds,
      'sampling, rest': sampled.seconds - prefillSeconds - decodeSeconds,
      forward: forwardSeconds,
      head: headSeconds,
      backward: backwardSeconds,
      'gradient, rest': gradients.seconds - forwardSeconds - headSeconds - backwardSeconds,
      update: update.seconds,
    },
  };
}

/** The most tokens of one backward pass of a peer; TRL with 2,304 of them holds 17 GB for 0.5B in f32. */
const PEER_PASS_TOKENS = 4096;

/** How many of a group's completions, each with its prompt, a peer takes at once: the greatest divisor of the group that stays within the tokens. */
export function completionsPerPass({ group, prompt, completion }: GroupShape): number {
  let count = group;
  while (count > 1 && (group % count !== 0 || count * (prompt + completion) > PEER_PASS_TOKENS)) count--;
  return count;
}

export function grpoCase(size: GroupShape, { shape, dtype }: BenchSettings, memory: StepMemory = fastest): BenchCase {
  const config = benchShapes[shape];
  const { group, prompt, completion } = size;
  const [tokens] = tokenLists(1, prompt, config.vocabulary) as [Int32Array];
  return {
    name: `grpo G=${group} P=${prompt} R=${completion}`,
    phases: grpoPhases(config, dtype, size),
    tokens: group * completion,
    async run({ loadModel }) {
      const model = await loadModel();
      await model.enableTraining(memory.forms);
      return lastStep((step) => grpoStep(model, size, step, memory));
    },
    peer: {
      benchmark: 'grpo',
      body: {
        ...{ prompt: Array.from(tokens), group, completion, completionsPerPass: completionsPerPass(size) },
        ...{ learningRate: LEARNING_RATE, steps: STEPS },
      },
      warmups: STEPS - 1,
      scale: 1,
      expected: { completions: STEPS * group, completionTokens: STEPS * group * completion },
    },
  };
}

export const grpo: Workload = (settings) => [grpoCase(settings, settings)];

export const grpoLong: Workload = (settings) => [
  grpoCase({ group: settings.group, prompt: 4 * settings.prompt, completion: 2 * settings.completion }, settings),
];
