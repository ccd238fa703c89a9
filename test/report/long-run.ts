/** The records of a run that could have been: two stages, three tasks, every figure that a report can show. */
import type { RunData } from '../../lib/report/run-data.js';
import type { EvaluationRecord, SampleRecord, StepRecord, TimingRecord } from '../../lib/train/events.js';

const kTasks = ['Rec-Movie', 'Router-Balance', 'Passage-5'];
const kStages = [
  { name: 'warm-up', kind: 'sft', steps: 150 },
  { name: 'GRPO', kind: 'grpo', steps: 250 },
] as const;

/** Rises from `from` to `to` with a wobble; no randomness, so that pictures stay the same. */
const rise = (from: number, to: number, share: number, phase = 0) =>
  from +
  (to - from) * (1 - Math.exp(-3 * share)) +
  0.06 * Math.sin(37 * share + phase) * Math.cos(91 * share + 2 * phase);

function stepOf(step: number): StepRecord {
  const [warmUp, grpo] = kStages;
  if (step <= warmUp.steps) {
    const share = step / warmUp.steps;
    const metrics = {
      loss: 2.4 - rise(0, 1.6, share),
      grad_norm: 1.2 + rise(0, -0.6, share),
      learning_rate: 1e-3 * (1 - share),
    };
    return {
      type: 'step',
      step,
      stage: warmUp.name,
      kind: 'sft',
      stage_step: step,
      metrics: { ...metrics, num_tokens: step * 5000, 'completions/mean_length': 22 },
    };
  }
  const own = step - warmUp.steps;
  const share = own / grpo.steps;
  const metrics = {
    ...{
      reward: rise(0.3, 0.9, share),
      reward_std: 0.4,
      num_tokens: step * 5000,
      learning_rate: 1e-4,
      grad_norm: 0.5 + rise(0, 0.3, share, 1),
    },
    ...{
      malformed_rate: Math.max(0, rise(0.3, 0.01, share, 2)),
      'completions/clipped_ratio': Math.max(0, rise(0.1, 0, share)),
    },
    ...{ 'completions/mean_length': 40 + 30 * share, 'completions/max_length': 64, entropy: rise(1.4, 0.5, share, 3) },
    ...{
      kl: Math.max(0, rise(0, 0.2, share, 4)),
      'clip_ratio/region_mean': 0.02 * share,
      'clip_ratio/low_mean': 0.012 * share,
    },
    ...{ 'clip_ratio/high_mean': 0.008 * share, frac_reward_zero_std: rise(0.2, 0.6, share, 5), loss: 0.001 },
    ...{ 'sampling/sampling_logp_difference/mean': 0, 'sampling/sampling_logp_difference/max': 0 },
    ...Object.fromEntries(
      kTasks.map((task, index) => [`tasks/${task}/reward`, rise(0.2 + index / 10, 0.7 + index / 10, share, index)]),
    ),
  };
  return { type: 'step', step, stage: grpo.name, kind: 'grpo', stage_step: own, metrics };
}

function timingOf(step: number): TimingRecord {
  const sampled = step > kStages[0].steps;
  const wobble = 0.1 * Math.sin(step);
  const seconds = {
    ...(sampled ? { generate: 2 + wobble } : {}),
    forward: 0.5,
    head: 0.2,
    backward: 1 + wobble,
    update: 0.1,
    total: sampled ? 4.1 : 2,
  };
  const rates = { 'tokens_per_second/update': 2500 + 300 * wobble, 'perf/mfu/actor': 0.21 + wobble / 20 };
  return { step, seconds, rates: sampled ? { ...rates, 'tokens_per_second/generate': 900 + 100 * wobble } : rates };
}

const interval = (mean: number) => ({ mean, low: mean - Math.min(0.05, mean), high: mean + 0.05 });

function evaluationOf(step: number, label: string, kind: EvaluationRecord['kind']): EvaluationRecord {
  const mrr = kind === 'baseline' ? 0.34 : rise(0.3, 0.85, step / 400);
  const means = { mrr, ndcg: mrr + 0.08, hit1: mrr - 0.15, exclusion_accuracy: mrr + 0.1, malformed_rate: 0.02 };
  const tasks = kTasks.map((task, index) => {
    const moved = Object.entries(means).map(([name, value]) => [name, Math.max(0, value - index / 20)]);
    return [task, { instances: 132, means: Object.fromEntries(moved) as Record<string, number> }] as const;
  });
  return {
    ...{ type: 'evaluation', step, label, kind, instances: 396, perInstance: {} },
    measures: Object.fromEntries(Object.entries(means).map(([name, value]) => [name, interval(value)])),
    ...(kind === 'baseline' ? {} : { tasks: Object.fromEntries(tasks) }),
  };
}

function sampleOf(step: number): SampleRecord {
  const prompt =
    'system:\nYou are a helpful assistant.\n\nuser:\nI have watched: Alien (1979), Blade Runner (1982).\n[A] Aliens (1986)\n[B] Babe (1995)\n[C] Sense and Sensibility (1995)\nWhich one am I least likely to watch next?\n\n<think>';
  const good = {
    text: ' Science fiction, dark. Babe is a film about a pig.\n</think>\n<answer>[B]</answer>',
    outcome: 'ok',
    reward: 1,
  } as const;
  const bad = {
    text: ` ${'They all might be fine, or not. '.repeat(12)}`,
    outcome: 'truncated',
    reward: -0.5,
  } as const;
  const completions = [good, bad].map((one, index) => ({
    ...one,
    ...{ tokens: 30 + index, stop: index === 0 ? 'stop_token' : 'length', advantage: index === 0 ? 0.7 : -0.7 },
    parts: { exclusion: one.reward, format_think: index === 0 ? 0 : -1 },
  }));
  return { step, stage: 'GRPO', instance: `user/${step}`, prompt, completions };
}

export function longRun(change: Partial<RunData> = {}): RunData {
  const steps = Array.from({ length: 400 }, (_, index) => index + 1);
  const progress = steps.filter((step) => step % 50 === 0 && step !== 150 && step !== 400);
  return {
    facts: {
      ...{ name: 'Three tasks at once', notes: ['Records made up to show every part of the page.'], steps: 500 },
      ...{ device: 'cpu (avx2, 2 threads)', parameters: 494_032_768, config: { seed: 1, stages: kStages } },
    },
    status: 'running',
    steps: steps.map(stepOf),
    timing: steps.map(timingOf),
    evaluations: [
      ...[
        evaluationOf(0, 'chance', 'baseline'),
        evaluationOf(0, 'popularity', 'baseline'),
        evaluationOf(0, 'before training', 'model'),
      ],
      ...progress.filter((step) => step < 150).map((step) => evaluationOf(step, `warm-up step ${step}`, 'progress')),
      evaluationOf(150, 'after warm-up', 'model'),
      ...progress.filter((step) => step > 150).map((step) => evaluationOf(step, `GRPO step ${step - 150}`, 'progress')),
    ],
    comparisons: [
      {
        ...{ type: 'comparison', step: 150, label: 'after warm-up', baseline: 'before training' },
        gains: { mrr: interval(0.2), ndcg: interval(0.15), exclusion_accuracy: { mean: 0.03, low: -0.02, high: 0.08 } },
      },
    ],
    samples: [160, 240, 320, 400].map(sampleOf),
    ...change,
  };
}
