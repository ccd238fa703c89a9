/** Whether the longest cases of a run fit, asked before its first step: never an out-of-memory in hour five. */
import { WinnowError } from '../errors.js';
import type { ResolvedConfig, StageConfig } from './config.js';
import { type LookedAt, lookAt, planStage, type StageMemory } from './plan.js';
import type { RunParts } from './setup.js';

/** Cases of a stage that are looked at: all of most runs, else so many, spread evenly. */
const kLookedAt = 2000;

/**
 * Throws ERR_CONTEXT_LENGTH when a case is longer than the model's positions, and ERR_MEMORY_PLAN when a batch of the longest
 * one, beside the weights and the optimizer that are there already, needs more than the machine, or the device, has left.
 */
export async function requireRoom(config: ResolvedConfig, parts: RunParts): Promise<void> {
  const { data, protocol, sampler, native } = parts;
  for (const [index, stage] of config.stages.entries()) {
    const stageKey = `stage-${index}`;
    const context = { protocol, sampler, instances: data.train, mixture: data.mixture, seed: config.seed, stageKey };
    const cases = await lookAt(context, stage, data, parts.encode, kLookedAt);
    requirePositions(stage, cases, native.maxPositions);
    const { memory } = planStage(config, native, index, cases);
    requireMemory(stage, memory, parts.availableBytes());
  }
}

/** A completion that is sampled ends where the context does, and rendering refuses a prompt without room for one. */
function requirePositions(stage: StageConfig, cases: readonly LookedAt[], maxPositions: number): void {
  if (stage.kind !== 'sft') return;
  for (const { prompt, completion } of cases) {
    const needed = prompt.length + completion;
    if (needed <= maxPositions) continue;
    throw new WinnowError('ERR_CONTEXT_LENGTH', `stage ${stage.name}: an example does not fit into the context`, {
      expected: `at most ${maxPositions} tokens`,
      received: `${needed}`,
      hint: 'shorten the texts, lower sizes.maximum, or take a model with more positions',
    });
  }
}

function requireMemory(stage: StageConfig, memory: StageMemory, availableBytes: number): void {
  const { weights: _, optimizer: __, ...more } = memory;
  const needed = Object.values(more).reduce((sum, bytes) => sum + bytes, 0);
  if (needed <= availableBytes) return;
  const parts = Object.entries(more).map(([name, bytes]) => `${name} ${Math.ceil(bytes / 2 ** 20)}`);
  throw new WinnowError('ERR_MEMORY_PLAN', `stage ${stage.name} would not fit into memory at its longest cases`, {
    expected: `at most ${Math.floor(availableBytes / 2 ** 20)} MiB beside weights and optimizer`,
    received: `${Math.ceil(needed / 2 ** 20)} MiB (${parts.join(', ')})`,
    hint: 'lower maxBatchTokens, maxActivationBytes or maxTokens, or headChunkRows, or set recompute: layer',
  });
}
