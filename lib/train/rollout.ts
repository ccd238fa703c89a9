/** Cases -> prompts -> groups of completions -> answers -> rewards; and again for groups without signal (dynamic sampling). */
import type { Completion } from '../types.js';
import { CaseSource, type PromptCase } from './cases.js';
import type { GrpoConfig } from './config.js';
import { type Judged, judge } from './judge.js';
import { policyCases } from './policy-cases.js';
import { overlongPenalty } from './reward-shaping.js';
import { type StageContext, type StepRequest, type Stopwatch, sizesOf } from './stage.js';

/** One prompt and its completions; `completions`, `judged` and `rewards` are aligned. */
export interface RolloutGroup {
  readonly promptCase: PromptCase;
  readonly prompt: Int32Array;
  readonly completions: readonly Completion[];
  readonly judged: readonly Judged[];
  /** What advantages are made of: the reward, and what was taken from it for its length. */
  readonly rewards: readonly number[];
}

/** The settings of a stage that samples. */
export type RolloutConfig = Pick<
  GrpoConfig,
  | 'prompts'
  | 'group'
  | 'maxTokens'
  | 'maxActivationBytes'
  | 'temperature'
  | 'topK'
  | 'topP'
  | 'minP'
  | 'sizes'
  | 'states'
  | 'overlong'
  | 'dynamicSampling'
>;

export interface RolloutContext extends StageContext {
  readonly config: RolloutConfig;
  readonly cases: CaseSource;
  /** Where dynamic sampling takes further cases from. */
  readonly refills: CaseSource;
}

export function rolloutContext(context: StageContext, config: RolloutConfig): RolloutContext {
  const sizes = sizesOf(config, context.instances);
  const perStep = config.prompts * (config.dynamicSampling?.rounds ?? 1);
  return {
    ...context,
    config,
    cases: new CaseSource({ ...context, sizes, casesPerStep: config.prompts }),
    refills: new CaseSource({
      ...context,
      sizes,
      casesPerStep: perStep,
      stageKey: `${context.stageKey}-refill`,
    }),
  };
}

export interface Sampled {
  /** Every group that was sampled, in order. */
  readonly all: readonly RolloutGroup[];
  /** The `prompts` groups to train on. */
  readonly groups: readonly RolloutGroup[];
  /** Rounds of refilling; 0 without dynamic sampling. */
  readonly rounds: number;
}

/** The groups of a step. What is drawn depends on (seed, stage, step, weights) alone. */
export async function sampleStep(context: RolloutContext, request: StepRequest, watch: Stopwatch): Promise<Sampled> {
  const { prompts, dynamicSampling } = context.config;
  const drawn = context.cases.slice(request.stageStep * prompts, prompts);
  const all = await sampleGroups(context, drawn, request, watch);
  if (dynamicSampling === undefined) return { all, groups: all, rounds: 0 };
  return refill(context, all, dynamicSampling.rounds, request, watch);
}

/**
 * Dynamic sampling (DAPO, Yu et al. 2025, arXiv 2503.14476, 3.2): groups of equal rewards give way to new ones, in at most `limit`
 * rounds that sample as many as are lacking. Groups without signal make up for what is lacking even then, so that a batch has
 * `prompts` groups always.
 */
async function refill(
  context: RolloutContext,
  first: readonly RolloutGroup[],
  limit: number,
  request: StepRequest,
  watch: Stopwatch,
): Promise<Sampled> {
  const { prompts } = context.config;
  const all = [...first];
  let rounds = 0;
  for (; rounds < limit; rounds++) {
    const lacking = prompts - all.filter(hasSignal).length;
    if (lacking === 0) break;
    const start = (request.stageStep * limit + rounds) * prompts;
    all.push(...(await sampleGroups(context, context.refills.slice(start, lacking), request, watch)));
  }
  const without = all.filter((group) => !hasSignal(group));
  return { all, groups: [...all.filter(hasSignal), ...without].slice(0, prompts), rounds };
}

export function hasSignal({ rewards }: Pick<RolloutGroup, 'rewards'>): boolean {
  return rewards.some((reward) => reward !== rewards[0]);
}

export function isTruncated({ stop }: Pick<Completion, 'stop'>): boolean {
  return stop === 'length' || stop === 'context';
}

async function sampleGroups(
  context: RolloutContext,
  drawn: readonly PromptCase[],
  request: StepRequest,
  watch: Stopwatch,
): Promise<RolloutGroup[]> {
  const { config, protocol, sampler } = context;
  const cases =
    config.states === 'random' ? drawn : await watch.time('states', () => policyCases(context, config, drawn, request));
  const completions = await watch.time('generate', () => complete(context, cases, request));
  watch.countTokens(
    'generate',
    completions.flat().map(({ tokens }) => tokens),
  );
  const judged = await watch.time('reward', () =>
    judge(protocol, cases, completions, { ...context.reward, signal: request.signal }),
  );
  return cases.map((promptCase, index) => {
    const own = completions[index] as Completion[];
    const ofGroup = judged.slice(index * config.group, (index + 1) * config.group);
    const rewards = ofGroup.map(({ reward }, i) => reward.value + lengthPenalty(own[i] as Completion, config));
    return { promptCase, prompt: sampler.render(promptCase.prompt), completions: own, judged: ofGroup, rewards };
  });
}

/** One group of completions per case. What is sampled depends on (seed, case) and the weights alone. */
function complete(
  { config, sampler, seed }: RolloutContext,
  cases: readonly PromptCase[],
  { signal }: StepRequest,
): Promise<Completion[][]> {
  const { maxTokens, maxActivationBytes, temperature, topK, topP, minP, group } = config;
  return sampler.complete(
    cases.map(({ prompt }) => prompt),
    {
      ...{ maxTokens, maxActivationBytes, temperature, topK, topP, minP },
      ...{ n: group, seed, promptKeys: cases.map(({ key }) => key) },
    },
    { signal },
  );
}

function lengthPenalty({ tokens }: Completion, { overlong, maxTokens }: RolloutConfig): number {
  return overlong === undefined ? 0 : overlongPenalty(tokens.length, maxTokens, overlong);
}
