/** The workloads of `winnow bench`, each as it runs in a process of its own. */
import type { Model, Session } from '../../native/index.js';
import { decodeWork, gemmWork, grpoPhases, prefillWork } from './accounting.js';
import { benchShapes } from './shapes.js';
import { type BenchSettings, type Measurement, timed } from './trial.js';

type Workload = (session: Session, settings: BenchSettings) => Promise<readonly Measurement[]>;

const STANDARD_DEVIATION = 0.02;
const KERNEL_REPEATS = 7;

function randomModel(session: Session, settings: BenchSettings): Promise<Model> {
  const source = { kind: 'random' as const, seed: 1, standardDeviation: STANDARD_DEVIATION };
  return session.createModel({ config: benchShapes[settings.shape], dtype: settings.dtype, source });
}

/** Distinct prompts without a common beginning. */
function prompts(count: number, length: number, vocabulary: number): Int32Array[] {
  return Array.from({ length: count }, (_, row) =>
    Int32Array.from({ length }, (_, i) => ((row + 1) * 7919 + i * 104_729) % vocabulary),
  );
}

/** The limits by themselves, so that their own spread can be seen; runTrial measures them around every workload too. */
const peak: Workload = async (session, { dtype }) => {
  const limit = async (name: 'peak' | 'stream'): Promise<Measurement> => {
    const result = await session.benchmark({ name, shape: {}, dtype, repeats: KERNEL_REPEATS });
    const phases = [{ flops: result.flops, bytes: result.bytes }];
    return { name, seconds: Array.from(result.seconds), phases, tokens: 0, details: {} };
  };
  return [await limit('peak'), await limit('stream')];
};

/** Products of the decoder's weights at the row counts of decode, training and prefill. */
const gemm: Workload = async (session, settings) => {
  const { width, feedForward, vocabulary } = benchShapes[settings.shape];
  const { dtype } = settings;
  const cases = [
    ...[1, 8, 16, 64, 256, 1024].flatMap((m) => [
      { kernel: 'linear_forward', label: 'gate', m, n: feedForward, k: width },
      { kernel: 'linear_forward', label: 'down', m, n: width, k: feedForward },
    ]),
    ...[1, 8, 64].map((m) => ({ kernel: 'linear_forward', label: 'head', m, n: vocabulary, k: width })),
    { kernel: 'linear_backward_input', label: 'gate dX', m: 256, n: feedForward, k: width },
    { kernel: 'linear_backward_input', label: 'head dX', m: 64, n: vocabulary, k: width },
    { kernel: 'linear_backward_weight', label: 'gate dW', m: 256, n: feedForward, k: width },
    { kernel: 'linear_backward_weight', label: 'head dW', m: 64, n: vocabulary, k: width },
  ];
  const measurements: Measurement[] = [];
  for (const { kernel, label, m, n, k } of cases) {
    const result = await session.benchmark({ name: kernel, shape: { m, n, k }, dtype, repeats: KERNEL_REPEATS });
    measurements.push({
      name: `gemm ${label} M=${m}`,
      seconds: Array.from(result.seconds),
      phases: [gemmWork(m, n, k, dtype)],
      tokens: 0,
      details: { m, n, k },
    });
  }
  return measurements;
};

const PREFILL_TOKENS = 512;

/** One prompt, and the first token after it. */
const prefill: Workload = async (session, settings) => {
  const config = benchShapes[settings.shape];
  const model = await randomModel(session, settings);
  const request = { maxTokens: 1, ignoreStopTokens: true };
  await model.generate({ ...request, prompts: prompts(1, 8, config.vocabulary) });
  const seconds: number[] = [];
  for (let repeat = 0; repeat < 3; repeat++) {
    const run = await timed(() =>
      model.generate({ ...request, prompts: prompts(1, PREFILL_TOKENS, config.vocabulary) }),
    );
    seconds.push(run.seconds);
  }
  await model.dispose();
  const phases = [prefillWork(config, settings.dtype, PREFILL_TOKENS)];
  return [{ name: `prefill ${PREFILL_TOKENS}`, seconds, phases, tokens: PREFILL_TOKENS, details: {} }];
};

const DECODE_CONTEXT = 64;
const DECODE_STEPS = 32;

/** Sampling at temperature 1 for B prompts that share nothing. */
const decode: Workload = async (session, settings) => {
  const config = benchShapes[settings.shape];
  const model = await randomModel(session, settings);
  const measurements: Measurement[] = [];
  for (const rows of [1, 8, 16]) {
    const { statistics } = await model.generate({
      prompts: prompts(rows, DECODE_CONTEXT, config.vocabulary),
      maxTokens: DECODE_STEPS + 1, // the first token belongs to the prefill
      ignoreStopTokens: true,
    });
    const shape = { rows, context: DECODE_CONTEXT, shared: 0, steps: DECODE_STEPS };
    measurements.push({
      name: `decode B=${rows}`,
      seconds: [statistics.decodeSeconds],
      phases: [decodeWork(config, settings.dtype, shape)],
      tokens: rows * DECODE_STEPS,
      details: { rows },
    });
  }
  await model.dispose();
  return measurements;
};

/** One GRPO step: sample a group, accumulate its policy gradient, update. */
const grpo: Workload = async (session, settings) => {
  const config = benchShapes[settings.shape];
  const model = await randomModel(session, settings);
  await model.enableTraining();
  await grpoStep(model, settings, 1); // the first use of all memory, not timed
  const { seconds, value: details } = await timed(() => grpoStep(model, settings, 2));
  await model.dispose();
  return [
    {
      name: `grpo G=${settings.group} P=${settings.prompt} R=${settings.completion}`,
      seconds: [seconds],
      phases: Object.values(grpoPhases(config, settings.dtype, settings)),
      tokens: settings.group * settings.completion,
      details: { ...details, peakResidentBytes: process.resourceUsage().maxRSS * 1024 },
    },
  ];
};

const MAX_ACTIVATION_BYTES = 2 ** 33;

async function grpoStep(model: Model, settings: BenchSettings, step: number): Promise<Record<string, number>> {
  const { group, prompt, completion } = settings;
  const [tokens] = prompts(1, prompt, model.config.vocabulary) as [Int32Array];
  const sampled = await timed(() =>
    model.generate({
      prompts: [tokens],
      completionsPerPrompt: group,
      maxTokens: completion,
      ignoreStopTokens: true,
      maxActivationBytes: MAX_ACTIVATION_BYTES,
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
      weight: afterPrompt(() => 1 / (group * completion)),
      advantage: afterPrompt((row) => (row % 2 === 0 ? 1 : -1)),
      oldLogprob: afterPrompt((row, i) => completions[row]?.logprobs[i] ?? Number.NaN),
    }),
  );
  const update = await timed(() => model.applyGradients({ learningRate: 1e-6, step }));
  return {
    samplingSeconds: sampled.seconds,
    gradientSeconds: gradients.seconds,
    updateSeconds: update.seconds,
    forestTokens: gradients.value.forestTokens,
    cachedTokens: gradients.value.cachedTokens,
    maxAbsoluteLogRatio: gradients.value.maxAbsoluteLogRatio,
  };
}

/** By the name that `winnow bench NAME` takes; in the order of `winnow bench`. */
export const workloads = { peak, gemm, prefill, decode, grpo } satisfies Record<string, Workload>;

export type WorkloadName = keyof typeof workloads;
