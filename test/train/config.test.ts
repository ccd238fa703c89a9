import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../../lib/train/config.js';
import { parseConfig, readConfig } from '../../lib/train/config-file.js';
import { editDistance, nearest } from '../../lib/train/nearest.js';

const text = `
output: runs/x
model:
  scratch: { width: 32, layers: 2, heads: 4 }
data:
  task: { name: synthetic }
stages:
  - kind: sft
    steps: 10
    batch: 4
    learningRate: 1e-3
  - kind: grpo
    steps: 10
    prompts: 4
    group: 8
    maxTokens: 32
    learningRate: 1e-4
`;

const failure = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return error as { code: string; message: string; hint?: string; toLine(): string };
  }
  throw new Error('nothing was thrown');
};

describe('parseConfig', () => {
  it('fills in defaults and keeps what was written', () => {
    const config = parseConfig(text, 'x.yaml');
    expect(config.stages[1]).toMatchObject({ kind: 'grpo', group: 8, normaliser: 'token', loss: 'clip', updates: 1 });
    expect(config.checkpoint).toEqual({ every: 50, keep: 2 });
    expect(config.stages[0]?.learningRate).toBe(1e-3);
  });

  it('names an unknown key, its line and the nearest known one', () => {
    const error = failure(() => parseConfig(text.replace('prompts: 4', 'promts: 4'), 'x.yaml'));
    expect(error.code).toBe('ERR_CONFIG_KEY');
    expect(error.message).toContain('stages.1.promts (x.yaml line 14)');
    expect(error.hint).toBe('did you mean stages.1.prompts?');
    const top = failure(() => parseConfig(`${text}\nthread: 2\n`, 'x.yaml'));
    expect(top.hint).toBe('did you mean threads?');
    const nested = failure(() => parseConfig(text.replace('width: 32', 'widht: 32'), 'x.yaml'));
    expect(nested.hint).toBe('did you mean model.scratch.width?');
  });

  it('suggests nothing for a word that resembles no key', () => {
    expect(failure(() => parseConfig(`${text}\nzzzzzzzz: 2\n`, 'x.yaml')).hint).toBe('remove it');
  });

  it('names a value of the wrong type with its line', () => {
    const error = failure(() => parseConfig(text.replace('group: 8', 'group: many'), 'x.yaml'));
    expect(error.code).toBe('ERR_CONFIG_VALUE');
    expect(error.message).toContain('stages.1.group (x.yaml line 15)');
    expect(error.toLine()).toContain('"many"');
  });

  it('applies --set, also into lists, and blames it when it is wrong', () => {
    const config = parseConfig(text, 'x.yaml', ['stages.1.steps=3', 'seed=9', 'evaluation={maxTokens: 5}']);
    expect(config.stages[1]?.steps).toBe(3);
    expect(config.seed).toBe(9);
    expect(config.evaluation?.maxTokens).toBe(5);
    const error = failure(() => parseConfig(text, 'x.yaml', ['stages.1.setps=3']));
    expect(error.message).toContain('--set stages.1.setps');
    expect(error.hint).toBe('did you mean stages.1.steps?');
    expect(failure(() => parseConfig(text, 'x.yaml', ['seed'])).code).toBe('ERR_CONFIG_SET');
    expect(failure(() => parseConfig(text, 'x.yaml', ['output.deeper=1'])).code).toBe('ERR_CONFIG_SET');
  });

  it('refuses what is not YAML, a key given twice, a missing file, an empty file', () => {
    expect(failure(() => parseConfig('a: [1, 2', 'x.yaml')).code).toBe('ERR_CONFIG_SYNTAX');
    expect(failure(() => parseConfig('seed: 1\nseed: 2\n', 'x.yaml')).message).toContain('line 2');
    expect(failure(() => readConfig('/nonexistent/x.yaml')).code).toBe('ERR_CONFIG_FILE');
    expect(failure(() => parseConfig('', 'x.yaml')).code).toBe('ERR_CONFIG_VALUE');
  });

  it('leaves the prototype of objects alone', () => {
    expect(failure(() => parseConfig(text, 'x.yaml', ['__proto__.polluted=1'])).code).toMatch(/^ERR_CONFIG/);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('reads a file', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'winnow-config-')), 'x.yaml');
    writeFileSync(path, text);
    expect(readConfig(path, ['output=elsewhere']).output).toBe('elsewhere');
  });
});

describe('contradictions are refused before anything is loaded', () => {
  const kReference = { reference: 'stage-start' };
  const kKl = { coefficient: 0.1 };
  const cases: [what: string, section: readonly (string | number)[], change: object][] = [
    ['a group of 1', ['stages', 1], { group: 1 }],
    ['KL without reference', ['stages', 1], { kl: { coefficient: 0.1 } }],
    ['a reference without KL', ['stages', 1], { reference: 'stage-start' }],
    ['k1 in the loss, whose gradient does nothing', ['stages', 1], { ...kReference, kl: { ...kKl, estimator: 'k1' } }],
    ['k2 corrected', ['stages', 1], { ...kReference, kl: { ...kKl, estimator: 'k2', corrected: true } }],
    [
      'a corrected KL in the reward',
      ['stages', 1],
      { ...kReference, kl: { ...kKl, place: 'reward', corrected: true } },
    ],
    ['a mini-batch larger than the batch', ['stages', 1], { miniBatch: 8 }],
    ['mini-batches that do not divide the batch', ['stages', 1], { miniBatch: 3 }],
    ['one completion a step', ['stages', 1], { prompts: 1, group: 1, advantage: 'batch' }],
    ['a lower clip below ratio 0', ['stages', 1], { clipLow: 1.5 }],
    ['dual clip for a loss without one', ['stages', 1], { dualClip: 3, loss: 'cispo' }],
    ['dual clip below the upper clip', ['stages', 1], { dualClip: 1.1 }],
    ['gspo by token', ['stages', 1], { loss: 'gspo' }],
    ['an overlong buffer beyond maxTokens', ['stages', 1], { overlong: { buffer: 33 } }],
    ['dynamic sampling with the baseline of the batch', ['stages', 1], { dynamicSampling: {}, advantage: 'batch' }],
    ['a mixture beside a task', ['data'], { mixture: [{ train: 'a.jsonl' }, { train: 'b.jsonl' }] }],
    ['a mixture with an empty source', ['data'], { task: undefined, mixture: [{ train: 'a.jsonl' }, { weight: 2 }] }],
    ['completions longer than the context', ['stages', 1], { maxTokens: 1024 }],
    ['warm-up beyond the stage', ['stages', 0], { warmupSteps: 11 }],
    ['a floor without a slope', ['stages', 0], { floor: 0.1 }],
    ['a decay phase of a schedule without one', ['stages', 0], { decaySteps: 2 }],
    ['phases longer than the stage', ['stages', 0], { schedule: 'wsd', warmupSteps: 5, decaySteps: 6 }],
    ['masters of frozen weights', [], { model: { folder: 'x', lora: {} }, optimizer: { masters: 'split' } }],
    ['two models', ['model'], { folder: 'x' }],
    ['no model', ['model'], { scratch: undefined }],
    ['heads that do not divide', ['model', 'scratch'], { kvHeads: 3 }],
    ['an odd head size', ['model', 'scratch'], { headDim: 12 }],
    ['task and files', ['data'], { train: 'x.jsonl' }],
  ];
  for (const [what, section, change] of cases) {
    it(what, () => {
      const config: unknown = structuredClone(parseConfig(text, 'x.yaml'));
      const target = section.reduce((value, key) => (value as Record<string | number, unknown>)[key], config);
      Object.assign(target as object, change);
      const error = failure(() => resolveConfig(config));
      expect(error.code).toBe('ERR_CONFIG');
      expect(error.hint).toBeTruthy();
    });
  }
});

describe('contradictions of PPO', () => {
  const ppo = { kind: 'ppo', steps: 10, prompts: 4, maxTokens: 32, learningRate: 1e-4 };
  const resolve = (change: object) => {
    const config = structuredClone(parseConfig(text, 'x.yaml'));
    return resolveConfig({ ...config, stages: [{ ...ppo, ...change }] });
  };

  it('are none in a stage of the least settings, with one completion a prompt', () => {
    expect(resolve({}).stages[0]).toMatchObject({
      ...{ group: 1, discount: 1, lambda: 1, whiten: true, updates: 1, normaliser: 'token' },
      critic: { body: 'own', warmupSteps: 0 },
    });
    expect(resolve({ critic: { body: 'shared', coefficient: 0.5 } }).stages[0]).toMatchObject({
      critic: { body: 'shared', coefficient: 0.5, warmupSteps: 0 },
    });
  });

  const shared = { body: 'shared' };
  it.each<[string, object, string]>([
    ['a rate for a head on the policy', { critic: { ...shared, learningRate: 1e-3 } }, 'critic'],
    ['a folder for a head on the policy', { critic: { ...shared, folder: 'x' } }, 'critic'],
    ['a warm-up of a head on the policy', { critic: { ...shared, warmupSteps: 1 } }, 'critic'],
    ['a coefficient for a body of its own', { critic: { coefficient: 0.5 } }, 'critic'],
    ['a critic warm-up as long as the stage', { critic: { warmupSteps: 10 } }, 'critic'],
    ['KL without reference', { kl: { coefficient: 0.1 } }, 'kl'],
    ['a mini-batch larger than the batch', { miniBatch: 8 }, 'miniBatch'],
    ['dual clip below the upper clip', { dualClip: 1.1 }, 'dualClip'],
    ['an overlong buffer beyond maxTokens', { overlong: { buffer: 33 } }, 'overlong'],
    ['completions longer than the context', { maxTokens: 1024 }, 'maxTokens'],
  ])('%s is refused', (_, change, key) => {
    const error = failure(() => resolve(change));
    expect(error).toMatchObject({ code: 'ERR_CONFIG', message: expect.stringContaining(`stages.0.${key}`) });
    expect(error.hint).toBeTruthy();
  });

  it.each<[string, object, string]>([
    ['a group baseline', { advantage: 'group' }, 'ERR_CONFIG_KEY'],
    ['replay', { replay: { groups: 1 } }, 'ERR_CONFIG_KEY'],
    ['refilling of groups', { dynamicSampling: {} }, 'ERR_CONFIG_KEY'],
    ['a discount of 0', { discount: 0 }, 'ERR_CONFIG_VALUE'],
    ['a lambda above 1', { lambda: 1.1 }, 'ERR_CONFIG_VALUE'],
    ['a value clip of 0', { critic: { clip: 0 } }, 'ERR_CONFIG_VALUE'],
  ])('%s is not a setting', (_, change, code) => {
    expect(failure(() => resolve(change)).code).toBe(code);
  });
});

describe('nearest', () => {
  it('counts edits', () => {
    expect(editDistance('kitten', 'sitting')).toBe(3);
    expect(editDistance('', 'abc')).toBe(3);
    expect(nearest('lerning_rate', ['learningRate', 'batch'])).toBe('learningRate');
    expect(nearest('x', [])).toBeUndefined();
  });
});
