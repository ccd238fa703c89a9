/** Settings of a stage that samples that are possible one by one and impossible, or without effect, together. */
import type { BestOfNConfig, GrpoConfig, PpoConfig } from './config-schema.js';

interface Finding {
  readonly key: string;
  readonly what: string;
  /** What to change. */
  readonly hint: string;
}

export function policyContradictions(stage: GrpoConfig | PpoConfig | BestOfNConfig): Finding[] {
  const sampling = samplingContradictions(stage);
  if (stage.kind === 'best-of-n') return sampling;
  const common = [...sampling, ...miniBatchContradictions(stage), ...klContradictions(stage)];
  if (stage.kind === 'ppo') {
    return [...common, ...lossContradictions({ ...stage, loss: 'clip' }), ...criticContradictions(stage)];
  }
  return [...common, ...advantageContradictions(stage), ...lossContradictions(stage)];
}

function samplingContradictions({
  overlong,
  maxTokens,
  dynamicSampling,
  group,
}: Pick<GrpoConfig, 'overlong' | 'maxTokens' | 'dynamicSampling' | 'group'>): Finding[] {
  const found: Finding[] = [];
  if (overlong !== undefined && overlong.buffer > maxTokens) {
    const what = `a buffer of ${overlong.buffer} tokens in completions of at most ${maxTokens}`;
    found.push({ key: 'overlong', what, hint: 'lower overlong.buffer to at most maxTokens' });
  }
  if (dynamicSampling !== undefined && group < 2) {
    const what = 'a group of 1 never has a signal of its own: every group would be drawn again';
    found.push({ key: 'dynamicSampling', what, hint: 'set group to 2 or more, or remove dynamicSampling' });
  }
  return found;
}

function advantageContradictions({ advantage, group, prompts, dynamicSampling }: GrpoConfig): Finding[] {
  const found: Finding[] = [];
  if (group < 2 && advantage !== 'batch') {
    const what = 'a group of 1 has no baseline: every advantage would be 0';
    found.push({ key: 'group', what, hint: 'set group to 2 or more, commonly 8, or advantage: batch' });
  }
  if (group * prompts < 2) {
    const what = 'a batch of 1 has no baseline: every advantage would be 0';
    found.push({ key: 'prompts', what, hint: 'raise prompts or group' });
  }
  if (dynamicSampling !== undefined && advantage === 'batch') {
    const what = 'with the baseline of the batch a group of equal rewards has a signal';
    found.push({ key: 'dynamicSampling', what, hint: 'remove dynamicSampling, or choose another advantage' });
  }
  return found;
}

function miniBatchContradictions({ prompts, miniBatch }: Pick<GrpoConfig, 'prompts' | 'miniBatch'>): Finding[] {
  const found: Finding[] = [];
  if (miniBatch !== undefined && miniBatch > prompts) {
    const what = `a mini-batch of ${miniBatch} prompts in a batch of ${prompts}`;
    found.push({ key: 'miniBatch', what, hint: 'set miniBatch to at most prompts' });
  } else if (miniBatch !== undefined && prompts % miniBatch !== 0) {
    const what = `${prompts} prompts do not divide into mini-batches of ${miniBatch}`;
    found.push({ key: 'miniBatch', what, hint: 'let miniBatch divide prompts' });
  }
  return found;
}

/** Settings of one kind of body that the other has no use for. */
function criticContradictions({ critic, steps }: PpoConfig): Finding[] {
  const found: Finding[] = [];
  const add = (what: string, hint: string) => found.push({ key: 'critic', what, hint });
  if (critic.body === 'shared') {
    if (critic.learningRate !== undefined) {
      add('a head on the policy is trained at its rate', 'remove critic.learningRate, or set critic.body: own');
    }
    if (critic.folder !== undefined) {
      add('a head on the policy has no folder', 'remove critic.folder, or set critic.body: own');
    }
    if (critic.warmupSteps > 0) {
      const what = 'training the critic alone would move the policy, whose body it shares';
      add(what, 'remove critic.warmupSteps, or set critic.body: own');
    }
  } else if (critic.coefficient !== undefined) {
    const what = 'a body of its own has a loss of its own, whose scale AdamW does not feel';
    add(what, 'remove critic.coefficient, or set critic.body: shared');
  }
  if (critic.warmupSteps >= steps) {
    const what = `a critic warm-up of ${critic.warmupSteps} steps in a stage of ${steps}: the policy would never be trained`;
    add(what, 'lower critic.warmupSteps');
  }
  return found;
}

function lossContradictions({
  loss,
  normaliser,
  clipLow,
  dualClip,
  clipHigh,
}: Pick<GrpoConfig, 'loss' | 'normaliser' | 'clipLow' | 'dualClip' | 'clipHigh'>): Finding[] {
  const found: Finding[] = [];
  if (clipLow !== undefined && clipLow > 1) {
    found.push({ key: 'clipLow', what: 'a ratio cannot fall below 0', hint: 'set clipLow to at most 1' });
  }
  if (dualClip !== undefined && loss !== 'clip') {
    const what = `loss ${loss} has no dual clip`;
    found.push({ key: 'dualClip', what, hint: 'remove dualClip, or set loss: clip' });
  }
  if (dualClip !== undefined && dualClip <= 1 + (clipHigh ?? 0.2)) {
    const what = `a dual clip of ${dualClip} is not above the upper clip of ${1 + (clipHigh ?? 0.2)}`;
    found.push({ key: 'dualClip', what, hint: 'raise dualClip, commonly to 3' });
  }
  if (loss === 'gspo' && normaliser !== 'sequence') {
    const what = `gspo is a mean over sequences, not by ${normaliser}`;
    found.push({ key: 'normaliser', what, hint: 'set normaliser: sequence' });
  }
  return found;
}

function klContradictions({
  kl,
  reference,
  referenceSync,
  steps,
}: Pick<GrpoConfig, 'kl' | 'reference' | 'referenceSync' | 'steps'>): Finding[] {
  const found: Finding[] = [];
  const add = (key: string, what: string, hint: string) => found.push({ key, what, hint });
  if (kl !== undefined && reference === undefined) {
    add('kl', 'a KL term needs a reference', 'set reference: stage-start, or a model folder');
  }
  if (kl === undefined && reference !== undefined) {
    add('reference', 'a reference without a KL term does nothing', 'set kl: {coefficient}, or remove reference');
  }
  if (referenceSync !== undefined && reference === undefined) {
    add('referenceSync', 'there is no reference to follow the policy', 'set reference and kl, or remove referenceSync');
  }
  if (referenceSync !== undefined && referenceSync.everySteps >= steps) {
    const what = `a sync every ${referenceSync.everySteps} steps never acts in a stage of ${steps}`;
    add('referenceSync', what, 'lower referenceSync.everySteps, or remove referenceSync');
  }
  if (kl === undefined) return found;
  if (kl.place === 'reward' && kl.corrected) {
    add('kl', 'in the reward there is no ratio to correct with', 'remove kl.corrected, or set kl.place: loss');
  }
  if (kl.place === 'loss' && kl.estimator === 'k1' && !kl.corrected) {
    const hint = 'set kl.corrected: true, kl.place: reward, or kl.estimator: k2 or k3';
    add('kl', 'the gradient of k1 in the loss has mean 0, whatever the reference', hint);
  }
  if (kl.place === 'loss' && kl.estimator === 'k2' && kl.corrected) {
    const what = 'the gradient of k2 has the right mean as it is, and the ratio would spoil it';
    add('kl', what, 'remove kl.corrected');
  }
  return found;
}
