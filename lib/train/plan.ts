/** What a run would do, told before it does anything: memory, tokens a step, time by a probe, and its first prompts. */
import { WinnowError } from '../errors.js';
import {
  type NativeModelConfig,
  type PlanTrainingRequest,
  planTraining,
  readModelFolder,
  totalBytes,
} from '../native/index.js';
import { LanguageModel, makeProtocol } from '../protocol/index.js';
import { adapterOf, isBaseReference, requireAdapterFits } from './adapter.js';
import { CaseSource } from './cases.js';
import type { ResolvedConfig, StageConfig } from './config.js';
import { loadTrainingData, type TrainingData } from './data-source.js';
import { demonstrationExamples, fileExamples } from './examples.js';
import { probeSpeed } from './probe.js';
import { completionEncoder, countParameters, countTrained, describeModel, type OwnParts } from './setup.js';
import { type CaseContext, sizesOf } from './stage.js';

/** Bytes. What sampling takes is an upper bound. */
export interface StageMemory {
  readonly weights: number;
  readonly optimizer: number;
  readonly activations: number;
  readonly head: number;
  /** Keys and values of the batch in work, and what the kernels hold; the latter is an upper bound. */
  readonly keys: number;
  readonly scratch: number;
  readonly reference: number;
  /** Of PPO with a critic of its own body: its weights, optimizer state, activations and keys. */
  readonly critic: number;
  readonly sampling: number;
}

export interface StagePlan {
  readonly name: string;
  readonly kind: StageConfig['kind'];
  readonly steps: number;
  /** Of one step. Prompts are counted once, however many completions share them. */
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** False: completions are counted at `maxTokens`, which they may not reach. */
  readonly exact: boolean;
  /** Tokens of the longest sequence among the cases looked at, its completion at its longest. */
  readonly longestSequence: number;
  readonly memory: StageMemory;
  /** FLOPs of the products with weights of one step, at the tokens above. */
  readonly flops: number;
  /** The first prompts, as the model reads them. */
  readonly prompts: readonly string[];
}

export interface RunPlan {
  readonly parameters: number;
  /** Those that the optimizer moves: fewer with an adapter. */
  readonly trainedParameters: number;
  readonly dtype: 'f32' | 'bf16';
  readonly maxPositions: number;
  readonly trainInstances: number;
  readonly testInstances: number;
  readonly stages: readonly StagePlan[];
  /** FLOP/s that a short probe reached on this machine. */
  readonly speed: number;
}

/** Cases of a stage that are looked at, spread over all of it. */
const kLookedAt = 64;
/** The engine's default for the keys and values of a batch that is sampled. */
const kMaxKvBytes = 2 ** 30;

/** Loads data and tokenizer, and no weights; writes nothing. Throws what the run itself would throw up to there. */
export async function planRun(
  config: ResolvedConfig,
  { own = {}, prompts = 1, signal }: { own?: OwnParts; prompts?: number; signal?: AbortSignal } = {},
): Promise<RunPlan> {
  requireAdapterFits(config);
  const loaded = await loadTrainingData(config.data, config.seed);
  const mixture = own.train === undefined ? loaded.mixture : undefined;
  const data: TrainingData = { ...loaded, mixture, train: own.train ?? loaded.train, test: own.test ?? loaded.test };
  const protocol = own.protocol ?? makeProtocol(config.protocol);
  const { tokenizer, native, eosTokenIds } = describeModel(config, undefined, data, protocol);
  const sampler = new LanguageModel({ config: native, generate: nothingToSample }, tokenizer, {
    stopTokens: eosTokenIds,
  });
  const stages: StagePlan[] = [];
  for (const [index, stage] of config.stages.entries()) {
    const context = {
      protocol,
      sampler,
      instances: data.train,
      mixture,
      seed: config.seed,
      stageKey: `stage-${index}`,
    };
    const encode = completionEncoder(tokenizer, eosTokenIds);
    const cases = await lookAt(context, stage, data, encode, kLookedAt);
    const shown = cases.slice(0, prompts).map(({ prompt }) => tokenizer.decode(prompt));
    stages.push({ ...planStage(config, native, index, cases), prompts: shown });
  }
  return {
    ...{ parameters: countParameters(native), trainedParameters: countTrained(config, native) },
    ...{ dtype: config.model.dtype, maxPositions: native.maxPositions },
    ...{ trainInstances: data.train.length, testInstances: data.test.length, stages },
    speed: await probeSpeed(config, native, signal),
  };
}

export interface LookedAt {
  readonly prompt: Int32Array;
  /** Tokens of one completion. */
  readonly completion: number;
}

/** Up to `most` cases of a stage, spread over all of it. */
export async function lookAt(
  context: CaseContext,
  stage: StageConfig,
  data: TrainingData,
  encode: (text: string) => Int32Array,
  most: number,
): Promise<LookedAt[]> {
  const perStep = stage.kind === 'sft' ? stage.batch : stage.prompts;
  const all = perStep * stage.steps;
  const positions = [...new Set(Array.from({ length: most }, (_, index) => Math.floor((index * all) / most)))];
  if (stage.kind === 'sft') {
    const exampleAt =
      stage.examples === undefined
        ? demonstrationExamples(context, stage, data.demonstrator(stage.demonstrations, context.seed), encode)
        : await fileExamples(context, stage.examples, encode);
    return positions.map(exampleAt).map(({ prompt, completion }) => ({ prompt, completion: completion.length }));
  }
  const cases = new CaseSource({ ...context, sizes: sizesOf(stage, context.instances), casesPerStep: perStep });
  return positions.map((position) => ({
    prompt: context.sampler.render(cases.at(position).prompt),
    completion: stage.maxTokens,
  }));
}

export function planStage(
  config: ResolvedConfig,
  native: NativeModelConfig,
  index: number,
  cases: readonly LookedAt[],
): Omit<StagePlan, 'prompts'> {
  const stage = config.stages[index] as StageConfig;
  const mean = (pick: (one: LookedAt) => number) => cases.reduce((sum, one) => sum + pick(one), 0) / cases.length;
  const [rows, group] = stage.kind === 'sft' ? [stage.batch, 1] : [stage.prompts, stage.group];
  const promptTokens = Math.round(rows * mean(({ prompt }) => prompt.length));
  const completionTokens = Math.round(rows * group * mean(({ completion }) => completion));
  const longestSequence = cases.reduce((most, one) => Math.max(most, one.prompt.length + one.completion), 0);
  // A sequence that is longer than a batch is a batch of its own.
  const maxBatchTokens = Math.max(stage.maxBatchTokens, Math.min(longestSequence, native.maxPositions));
  const { model, threads, optimizer } = config;
  const shape = { config: native, dtype: model.dtype, maxBatchTokens, threads, adapter: adapterOf(config) };
  const { recompute, headChunkRows } = stage;
  const request = { ...shape, ...optimizer, recompute, headChunkRows };
  const plan = planTraining(request);
  const keyValueBytes =
    ((native.keyValueDtype ?? model.dtype) === 'bf16' ? 4 : 8) *
    native.layers *
    native.kvHeads *
    native.headDim *
    (promptTokens + completionTokens);
  const everything = planTraining(shape);
  const keptBytes = (everything.activationsBytes / maxBatchTokens) * (promptTokens + completionTokens);
  const sampling =
    stage.kind === 'sft' ? 0 : Math.min(keyValueBytes, kMaxKvBytes) + Math.min(keptBytes, stage.maxActivationBytes);
  return {
    ...{ name: stage.name, kind: stage.kind, steps: stage.steps, promptTokens, completionTokens },
    exact: stage.kind === 'sft',
    longestSequence,
    memory: {
      ...{ weights: plan.weightsBytes, optimizer: plan.optimizerBytes, activations: plan.activationsBytes },
      ...{
        ...{ head: plan.headBytes, keys: plan.kvStoreBytes, scratch: plan.scratchBytes },
        reference: needsReference(config, index) ? plan.weightsBytes : 0,
        critic: criticBytes(stage, { ...request, adapter: undefined }),
        sampling,
      },
    },
    flops: stepFlops(native, stage, promptTokens, completionTokens, plan.trainedParameters),
  };
}

/** Whether a stage holds weights of a reference policy besides its own. */
function needsReference(config: ResolvedConfig, index: number): boolean {
  const stage = config.stages[index] as StageConfig;
  if ((stage.kind !== 'grpo' && stage.kind !== 'ppo') || stage.reference === undefined) return false;
  return !isBaseReference(config, index, stage.reference);
}

/** It makes no logits, so that all of a training plan is its own but the head. */
function criticBytes(stage: StageConfig, policy: PlanTrainingRequest): number {
  if (stage.kind !== 'ppo' || stage.critic.body === 'shared') return 0;
  const { folder } = stage.critic;
  const config = folder === undefined ? policy.config : readModelFolder(folder).config;
  const plan = planTraining({ ...policy, config: { ...config, valueHead: true } });
  return totalBytes(plan) - plan.headBytes;
}

/**
 * A forward pass is 2 FLOPs a weight and token, with the head at completion tokens alone; a backward pass twice that, or once where
 * the weights are frozen below an adapter, whose own products are few and left out. A step that samples keeps its forward pass for
 * the first gradient. A critic takes one forward pass of the body for its values, and one of its own a training pass more. Attention
 * is left out.
 */
function stepFlops(
  native: NativeModelConfig,
  stage: StageConfig,
  promptTokens: number,
  completionTokens: number,
  trainedParameters: number,
): number {
  const head = native.vocabulary * native.width;
  const body = countParameters({ ...native, tiedHead: true }) - head;
  const forward = 2 * (body * (promptTokens + completionTokens) + head * completionTokens);
  const passes = trainedParameters === countParameters(native) ? 3 : 2;
  if (stage.kind !== 'grpo' && stage.kind !== 'ppo') return forward * passes;
  const policy = forward * passes * stage.updates;
  if (stage.kind === 'grpo') return policy;
  const values = 2 * body * (promptTokens + completionTokens);
  return policy + (stage.critic.body === 'shared' ? values : values * (1 + 3 * stage.updates));
}

async function nothingToSample(): Promise<never> {
  throw new WinnowError('ERR_INTERNAL', 'a plan samples nothing');
}
