/** Settings that are possible one by one and impossible together; found before anything is loaded. */
import type { ResolvedConfig } from './config-schema.js';

export interface Contradiction {
  readonly path: readonly PropertyKey[];
  readonly what: string;
  /** What to change. */
  readonly hint: string;
}

export function findContradiction(config: ResolvedConfig): Contradiction | undefined {
  return [...modelContradictions(config), ...dataContradictions(config), ...stageContradictions(config)][0];
}

function modelContradictions({ model }: ResolvedConfig): Contradiction[] {
  const found: Contradiction[] = [];
  if ((model.folder === undefined) === (model.scratch === undefined)) {
    found.push({
      path: ['model'],
      what: 'needs either folder or scratch',
      hint: 'give exactly one of model.folder and model.scratch',
    });
  }
  if (model.scratch === undefined) return found;
  const { width, heads, kvHeads = heads, headDim = width / heads } = model.scratch;
  if (!Number.isInteger(headDim) || headDim % 8 !== 0) {
    const path = ['model', 'scratch', 'headDim'];
    found.push({
      path,
      what: `a head size of ${headDim} is not a multiple of 8`,
      hint: 'set headDim, or change width or heads',
    });
  }
  if (heads % kvHeads !== 0) {
    const path = ['model', 'scratch', 'kvHeads'];
    found.push({ path, what: `${heads} heads cannot share ${kvHeads} KV heads`, hint: 'let kvHeads divide heads' });
  }
  return found;
}

function dataContradictions({ data, evaluation }: ResolvedConfig): Contradiction[] {
  const found: Contradiction[] = [];
  if ((data.task === undefined) === (data.train === undefined)) {
    found.push({
      path: ['data'],
      what: 'needs either task or train',
      hint: 'give exactly one of data.task and data.train',
    });
  }
  if (data.task !== undefined && data.test !== undefined) {
    found.push({ path: ['data', 'test'], what: 'a task brings its own test set', hint: 'remove data.test' });
  }
  if (evaluation !== undefined && data.train !== undefined && data.test === undefined) {
    found.push({
      path: ['evaluation'],
      what: 'evaluation needs a test set',
      hint: 'give data.test, or remove evaluation',
    });
  }
  return found;
}

function stageContradictions({ stages, model }: ResolvedConfig): Contradiction[] {
  const found: Contradiction[] = [];
  for (const [index, stage] of stages.entries()) {
    const add = (key: string, what: string, hint: string) => found.push({ path: ['stages', index, key], what, hint });
    if (stage.warmupSteps > stage.steps) {
      add('warmupSteps', `warm-up of ${stage.warmupSteps} steps in a stage of ${stage.steps}`, 'lower warmupSteps');
    }
    if (stage.schedule === 'constant' && stage.floor > 0) {
      add('floor', 'a constant schedule has no floor', 'use schedule: linear or cosine, or remove floor');
    }
    if (stage.sizes !== undefined && stage.sizes.minimum > stage.sizes.maximum) {
      add('sizes', 'the smallest case is larger than the largest', 'let minimum be at most maximum');
    }
    if (stage.kind === 'sft') continue;
    if (stage.group < 2) {
      add('group', 'a group of 1 has no baseline: every advantage would be 0', 'set group to 2 or more, commonly 8');
    }
    if (stage.klCoefficient > 0 && stage.reference === undefined) {
      add('klCoefficient', 'a KL term needs a reference', 'set reference: stage-start, or a model folder');
    }
    if (stage.klCoefficient === 0 && stage.reference !== undefined) {
      add('reference', 'a reference without a KL term does nothing', 'set klCoefficient, or remove reference');
    }
    if (stage.clipLow > 1) add('clipLow', 'a ratio cannot fall below 0', 'set clipLow to at most 1');
    if (model.scratch !== undefined && stage.maxTokens >= model.scratch.maxPositions) {
      add('maxTokens', 'completions fill the whole context', 'lower maxTokens or raise model.scratch.maxPositions');
    }
  }
  return found;
}
