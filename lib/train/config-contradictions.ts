/** Settings that are possible one by one and impossible together; found before anything is loaded. */
import { expandTargets, kLinearModules } from '../native/index.js';
import type { ResolvedConfig } from './config-schema.js';
import { policyContradictions } from './policy-contradictions.js';

export interface Contradiction {
  readonly path: readonly PropertyKey[];
  readonly what: string;
  /** What to change. */
  readonly hint: string;
}

export function findContradiction(config: ResolvedConfig): Contradiction | undefined {
  return [
    ...modelContradictions(config),
    ...dataContradictions(config),
    ...stageContradictions(config),
    ...steeringContradictions(config),
  ][0];
}

function modelContradictions({ model, optimizer }: ResolvedConfig): Contradiction[] {
  const found: Contradiction[] = [];
  if (model.lora !== undefined && optimizer.masters === 'split') {
    const what = 'the weights below an adapter have no masters';
    found.push({ path: ['optimizer', 'masters'], what, hint: 'remove optimizer.masters, or model.lora' });
  }
  if ((model.folder === undefined) === (model.scratch === undefined)) {
    found.push({
      path: ['model'],
      what: 'needs either folder or scratch',
      hint: 'give exactly one of model.folder and model.scratch',
    });
  }
  found.push(...loraContradictions(model));
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

function loraContradictions({ lora, scratch }: ResolvedConfig['model']): Contradiction[] {
  if (lora === undefined) return [];
  const found: Contradiction[] = [];
  const add = (key: string, what: string, hint: string) =>
    found.push({ path: ['model', ...key.split('.')], what, hint });
  if (scratch !== undefined) {
    const hint = 'give model.folder in place of model.scratch, or remove model.lora';
    add('lora', 'an adapter of random weights would be of no use', hint);
  }
  const own = (['rank', 'alpha', 'rsLora', 'targets'] as const).find((key) => lora[key] !== undefined);
  if (lora.from !== undefined && own !== undefined) {
    add(
      `lora.${own}`,
      'an adapter that is trained on keeps what it has',
      `remove model.lora.${own}, or model.lora.from`,
    );
  }
  const unknown = expandTargets(lora.targets ?? []).find((target) => !isLinearModule(target));
  if (unknown !== undefined) {
    const hint = `use ${kLinearModules.join(', ')}, the end of a path such as layers.0.mlp.up_proj, or all-linear`;
    add('lora.targets', `${unknown} is no linear layer of a decoder's layers`, hint);
  }
  return found;
}

function isLinearModule(target: string): boolean {
  return (kLinearModules as readonly string[]).includes(target.split('.').at(-1) as string);
}

function dataContradictions({ data, evaluation }: ResolvedConfig): Contradiction[] {
  const found: Contradiction[] = [];
  const { mixture, ...single } = data;
  if (mixture !== undefined && Object.values(single).some((value) => value !== undefined)) {
    const what = 'a mixture has its tasks and files inside';
    return [
      { path: ['data', 'mixture'], what, hint: 'move the other source into data.mixture, or remove data.mixture' },
    ];
  }
  const sources = mixture?.map((source, index) => ({ source, path: ['data', 'mixture', index] as PropertyKey[] }));
  for (const { source, path } of sources ?? [{ source: single, path: ['data'] as PropertyKey[] }]) {
    const name = path.map(String).join('.');
    if ((source.task === undefined) === (source.train === undefined)) {
      const hint = `give exactly one of ${name}.task and ${name}.train${mixture === undefined ? ', or data.mixture' : ''}`;
      found.push({ path, what: 'needs either task or train', hint });
    }
    if (source.task !== undefined && source.test !== undefined) {
      const hint = `remove ${name}.test`;
      found.push({ path: [...path, 'test'], what: 'a task brings its own test set', hint });
    }
    if (evaluation !== undefined && source.train !== undefined && source.test === undefined) {
      const hint = `give ${name}.test, or remove evaluation`;
      found.push({ path: ['evaluation'], what: 'evaluation needs a test set', hint });
    }
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
      add('floor', 'a constant schedule has no floor', 'use schedule: linear, cosine or wsd, or remove floor');
    }
    if (stage.decaySteps !== undefined) {
      if (stage.schedule !== 'wsd') {
        add(
          'decaySteps',
          `the schedule ${stage.schedule} has no decay phase`,
          'use schedule: wsd, or remove decaySteps',
        );
      } else if (stage.warmupSteps + stage.decaySteps > stage.steps) {
        const what = `warm-up of ${stage.warmupSteps} and decay of ${stage.decaySteps} steps in a stage of ${stage.steps}`;
        add('decaySteps', what, 'lower decaySteps or warmupSteps');
      }
    }
    if (stage.sizes !== undefined && stage.sizes.minimum > stage.sizes.maximum) {
      add('sizes', 'the smallest case is larger than the largest', 'let minimum be at most maximum');
    }
    if (stage.kind === 'sft') continue;
    if (stage.kind !== 'best-of-n' && stage.referenceSync !== undefined && model.lora !== undefined) {
      const what = 'a reference that follows is a model folder of its own, which a run with an adapter does not write';
      add('referenceSync', what, 'remove referenceSync, or model.lora');
    }
    if (stage.kind !== 'best-of-n' && stage.reference === 'base' && model.lora === undefined) {
      add('reference', 'without an adapter there is no base', 'set reference: stage-start, or model.lora');
    }
    for (const { key, what, hint } of policyContradictions(stage)) add(key, what, hint);
    if (model.scratch !== undefined && stage.maxTokens >= model.scratch.maxPositions) {
      add('maxTokens', 'completions fill the whole context', 'lower maxTokens or raise model.scratch.maxPositions');
    }
  }
  return found;
}

/** What keeps the best checkpoint and ends a stage early needs evaluations to go by. */
function steeringContradictions({ evaluation, checkpoint, protocol }: ResolvedConfig): Contradiction[] {
  const found: Contradiction[] = [];
  const add = (path: readonly string[], what: string, hint: string) => found.push({ path, what, hint });
  const best = checkpoint.best;
  if (best !== undefined && evaluation === undefined) {
    add(
      ['checkpoint', 'best'],
      'the best checkpoint is told by evaluations',
      'add evaluation, or remove checkpoint.best',
    );
  }
  if (evaluation?.patience !== undefined && evaluation.everySteps === 0) {
    add(['evaluation', 'patience'], 'patience needs evaluations during a stage', 'set evaluation.everySteps');
  }
  const steering = [
    { path: ['checkpoint', 'best', 'measure'], measure: best?.measure },
    { path: ['evaluation', 'patience', 'measure'], measure: evaluation?.patience?.measure },
  ];
  for (const { path, measure } of steering) {
    if (measure === 'exclusion_accuracy' && protocol.name !== 'exclusion') {
      add(path, `protocol ${protocol.name} excludes nobody`, 'choose mrr, ndcg, hit1 or malformed_rate');
    }
  }
  return found;
}
