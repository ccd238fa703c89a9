/** Opens a stage of a run: its data, for a KL term its reference, for PPO its critic. */
import { rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isBaseReference, withoutAdapter } from './adapter.js';
import { bestOfNStage } from './best-of-n.js';
import { type Checkpoint, writeCheckpoint } from './checkpoint.js';
import type { GrpoConfig, PpoConfig, ResolvedConfig, StageConfig } from './config.js';
import { kValueHeadFile, restoreCritic, saveCritic } from './critic-files.js';
import { demonstrationExamples, fileExamples } from './examples.js';
import { FollowingReference } from './following-reference.js';
import { grpoStage } from './grpo.js';
import { ppoStage } from './ppo.js';
import { referencesOf } from './resume.js';
import type { RewardOptions } from './reward-function.js';
import type { RunParts } from './setup.js';
import { sftStage } from './sft.js';
import type { ScoringModel, Stage, StageContext, TrainableModel } from './stage.js';

export interface StagePosition {
  readonly index: number;
  /** Steps done; 0 where the stage begins. */
  readonly stageStep: number;
  readonly config: StageConfig;
  /** What the stage kept in the checkpoint that it continues from. */
  readonly state?: unknown;
  /** The checkpoint that it continues from; undefined where the stage begins. */
  readonly checkpoint?: Checkpoint | undefined;
  readonly reward: RewardOptions;
}

export async function openStage(run: ResolvedConfig, parts: RunParts, position: StagePosition): Promise<Stage> {
  const { config, index, stageStep } = position;
  const context: StageContext = {
    model: parts.model,
    sampler: parts.sampler,
    protocol: parts.protocol,
    instances: parts.data.train,
    seed: run.seed,
    stageKey: `stage-${index}`,
    mixture: parts.data.mixture,
    reward: position.reward,
  };
  if (index > 0 && stageStep === 0) await forgetMoments(parts.model);
  if (config.kind === 'best-of-n') return bestOfNStage(context, config);
  if (config.kind === 'grpo') {
    const reference = await openReference(run, parts, config, position);
    const stage = grpoStage(context, config, reference, position.state);
    return reference instanceof FollowingReference ? reference.along(stage) : stage;
  }
  if (config.kind === 'ppo') return openPpo(context, run, parts, position, config);
  const examples =
    config.examples === undefined
      ? demonstrationExamples(context, config, parts.data.demonstrator(config.demonstrations, run.seed), parts.encode)
      : await fileExamples(context, config.examples, parts.encode);
  return sftStage(context, config, examples);
}

/**
 * Every stage starts with moments of zero, as a new optimizer would: an update of rate 0 and decay rates 0 with no gradient
 * sets them, and leaves the weights as they are.
 */
async function forgetMoments(model: TrainableModel): Promise<void> {
  await model.applyGradients({ learningRate: 0, beta1: 0, beta2: 0, weightDecay: 0, maxGradientNorm: 0, step: 1 });
}

/** The frozen policy of the KL term. That of `stage-start` is kept on disk, because resuming needs it again. */
async function openReference(
  run: ResolvedConfig,
  parts: RunParts,
  config: Pick<GrpoConfig, 'reference' | 'referenceSync'>,
  position: StagePosition,
): Promise<ScoringModel | undefined> {
  const { reference, referenceSync: sync } = config;
  if (reference === undefined) return undefined;
  if (isBaseReference(run, position.index, reference)) return withoutAdapter(parts.model);
  const folder = stageStart(run, position);
  if (sync !== undefined) {
    const from = position.checkpoint ?? (reference === 'stage-start' ? 'policy' : reference);
    return FollowingReference.open({ parts, sync, dtype: run.model.dtype, folder, from });
  }
  if (reference !== 'stage-start') return parts.openReference(reference);
  if (position.stageStep === 0) await writePolicy(parts, folder);
  return parts.openReference(folder);
}

function stageStart(run: ResolvedConfig, { index }: StagePosition): string {
  return join(referencesOf(run), `stage-${index}`);
}

async function writePolicy(parts: RunParts, path: string): Promise<void> {
  // One that a killed run left may be of other settings.
  rmSync(path, { recursive: true, force: true });
  await writeCheckpoint(dirname(path), basename(path), { last: 1 }, (folder) => parts.saveModel(folder));
}

async function openPpo(
  context: StageContext,
  run: ResolvedConfig,
  parts: RunParts,
  position: StagePosition,
  config: PpoConfig,
): Promise<Stage> {
  const reference = await openReference(run, parts, config, position);
  const shared = config.critic.body === 'shared';
  const critic = shared ? parts.model : await openCritic(run, parts, config, position);
  const save = (folder: string) =>
    shared ? critic.saveValueHead(join(folder, kValueHeadFile)) : saveCritic(parts, critic, run.model.dtype, folder);
  const stage = ppoStage(context, config, { critic, reference, state: position.state, save });
  return reference instanceof FollowingReference ? reference.along(stage) : stage;
}

/** A critic with a body of its own: from the checkpoint, from its folder, or a copy of the policy; of one with LoRA, of its base. */
async function openCritic(
  run: ResolvedConfig,
  parts: RunParts,
  config: PpoConfig,
  position: StagePosition,
): Promise<TrainableModel> {
  if (position.checkpoint !== undefined) return restoreCritic(parts, position.checkpoint);
  const folder = config.critic.folder ?? (run.model.lora === undefined ? undefined : run.model.folder);
  if (folder !== undefined) return parts.openCritic(folder);
  const copy = `${stageStart(run, position)}-critic`;
  await writePolicy(parts, copy);
  const critic = await parts.openCritic(copy);
  rmSync(copy, { recursive: true });
  return critic;
}
