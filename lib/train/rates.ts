/** Speeds of a step from its seconds and tokens by phase; docs/metrics.md has the formulas. Pure. */
import type { StepOutcome } from './stage.js';

export interface Machine {
  readonly parameters: number;
  /** Those that have a gradient: fewer with an adapter. */
  readonly trainedParameters: number;
  /** TFLOP/s that the device can do at most; without it there is no utilisation. */
  readonly peakTeraflops?: number | undefined;
}

export function stepRates(
  { seconds, tokens, phaseTokens = {} }: Pick<StepOutcome, 'seconds' | 'tokens' | 'phaseTokens'>,
  { parameters, trainedParameters, peakTeraflops }: Machine,
): Record<string, number> {
  const { generate: sampled = 0, update: trained = 0, score = 0, reference = 0 } = phaseTokens;
  const { total = 0 } = seconds;
  if (total <= 0) return {};
  const spent = (...phases: string[]) => phases.reduce((sum, phase) => sum + (seconds[phase] ?? 0), 0);
  const rates: Record<string, number> = { 'perf/throughput': tokens / total };
  const speeds = [
    ['tokens_per_second/generate', sampled, spent('generate')],
    ['tokens_per_second/score', score, spent('score')],
    ['tokens_per_second/reference', reference, spent('reference')],
    ['tokens_per_second/values', phaseTokens.values ?? 0, spent('values')],
    ['tokens_per_second/update_critic', phaseTokens.update_critic ?? 0, spent('update_critic')],
    ['tokens_per_second/update', trained, spent('forward', 'head', 'backward', 'update')],
  ] as const;
  for (const [name, count, time] of speeds) if (count > 0 && time > 0) rates[name] = count / time;
  const forward = sampled + score + reference;
  const work = parameters * (2 * forward + 4 * trained) + trainedParameters * 2 * trained;
  const teraflops = work / total / 1e12;
  rates['perf/model_tflops'] = teraflops;
  if (peakTeraflops !== undefined) rates['perf/mfu/actor'] = teraflops / peakTeraflops;
  return rates;
}
