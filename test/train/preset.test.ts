import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../../lib/train/config.js';
import { parseConfig } from '../../lib/train/config-file.js';
import { kPresets, type Preset, type PresetName, presetNames } from '../../lib/train/presets.js';

const failure = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return error as { code: string; message: string; expected?: string; hint?: string };
  }
  throw new Error('nothing was thrown');
};

/** The paths of all numbers, lists by position. */
function numbers(value: unknown, path: readonly string[] = []): string[] {
  if (typeof value === 'number') return [path.join('.')];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => numbers(inner, [...path, key]));
}

const what: Readonly<Partial<Record<PresetName, object>>> = {
  'r1-ranker-iranker': { model: { folder: 'x' }, data: { train: 'y' } },
  'r1-ranker-dranker': { model: { folder: 'x' }, data: { train: 'y' } },
  'rank-r1-v0.1': { model: { folder: 'x' }, data: { train: 'y' } },
  'rank-r1-v0.2': { model: { folder: 'x' }, data: { train: 'y' } },
};

describe('presets', () => {
  it('are the five, and docs/presets.md has each', () => {
    expect(presetNames).toEqual([
      'r1-ranker-iranker',
      'r1-ranker-dranker',
      'rank-r1-v0.1',
      'rank-r1-v0.2',
      'grpo-small',
    ]);
    const page = readFileSync(new URL('../../docs/presets.md', import.meta.url), 'utf8');
    for (const name of presetNames) expect(page).toContain(`\`${name}\``);
  });

  for (const name of presetNames) {
    const preset: Preset = kPresets[name];
    it(`${name}: every number has a source, and every source a number`, () => {
      const all = numbers(preset.settings);
      const covers = (path: string, number: string) => number === path || number.startsWith(`${path}.`);
      const paths = preset.sources.flatMap(([list]) => list);
      expect(all.filter((number) => !paths.some((path) => covers(path, number)))).toEqual([]);
      expect(paths.filter((path) => !all.some((number) => covers(path, number)))).toEqual([]);
    });

    it(`${name}: can be run as it is`, () => {
      const settings = { preset: name, output: 'o', ...what[name] };
      expect(resolveConfig(settings).stages.length).toBeGreaterThan(0);
    });
  }

  it('has the numbers of the R1-Ranker scripts, with a critic of its own', () => {
    const [iranker, dranker] = (['r1-ranker-iranker', 'r1-ranker-dranker'] as const).map((preset) =>
      resolveConfig({ preset, output: 'o', ...what[preset] }),
    );
    expect(iranker?.stages[0]).toMatchObject({
      ...{ kind: 'ppo', steps: 1500, prompts: 64, group: 1, miniBatch: 32, updates: 1, normaliser: 'token' },
      ...{ learningRate: 1e-6, clipLow: 0.2, clipHigh: 0.2, entropyCoefficient: 0.001, discount: 1, lambda: 1 },
      ...{ whiten: true, kl: { coefficient: 0.001, estimator: 'k3', place: 'loss' }, reference: 'stage-start' },
      critic: { body: 'own', learningRate: 2e-6, clip: 0.5, warmupSteps: 0 },
    });
    expect(iranker?.protocol).toMatchObject({ name: 'exclusion', compat: 'r1-ranker' });
    expect(dranker?.stages[0]).toMatchObject({ kind: 'ppo', steps: 1000, prompts: 2, miniBatch: 2, maxTokens: 1024 });
    expect(dranker?.protocol).toMatchObject({ name: 'direct', compat: 'r1-ranker' });
  });

  it('has the numbers of the Rank-R1 script', () => {
    const settings = { preset: 'rank-r1-v0.1', output: 'o', ...what['rank-r1-v0.1'] };
    const { stages, model, protocol } = resolveConfig(settings);
    expect(model).toEqual({
      ...{ dtype: 'bf16', folder: 'x' },
      lora: { rank: 16, alpha: 32, dropout: 0.05, targets: ['q_proj', 'v_proj'] },
    });
    expect(protocol).toMatchObject({ name: 'setwise', wording: 'rank-r1', window: 20 });
    expect(stages[0]).toMatchObject({
      ...{ kind: 'grpo', group: 8, prompts: 8, maxTokens: 2048, temperature: 0.9, topK: 50, learningRate: 1e-5 },
      ...{
        kl: { coefficient: 0.04, estimator: 'k3', place: 'loss' },
        reference: 'stage-start',
        normaliser: 'sequence',
      },
    });
  });
});

describe('settings on top of a preset', () => {
  it('join its maps, replace its lists, take away with null', () => {
    const config = resolveConfig({
      preset: 'grpo-small',
      output: 'o',
      evaluation: { instances: 7 },
      data: { task: null, train: 'a', test: 'b' },
      stages: [{ kind: 'sft', steps: 1, batch: 1, learningRate: 1 }],
    });
    expect(config.evaluation).toMatchObject({ instances: 7, maxTokens: 64 });
    expect(config.data).toEqual({ train: 'a', test: 'b' });
    expect(config.stages).toHaveLength(1);
    expect(kPresets['grpo-small'].settings.evaluation.instances).toBe(200);
  });

  it('may come from a file, a flag and --set, each over the one before', () => {
    const file = '# mine\npreset: grpo-small\noutput: o\nseed: 3\nevaluation: { instances: 9 }\n';
    const config = parseConfig(file, 'x.yaml', ['stages.1.steps=5', 'seed=4']);
    expect(config).toMatchObject({ seed: 4, output: 'o', evaluation: { instances: 9 } });
    expect(config.stages[1]?.steps).toBe(5);
    const flag = parseConfig('output: o\n', 'x.yaml', ['stages.0.steps=60'], 'grpo-small');
    expect(flag.stages[0]?.steps).toBe(60);
    // With neither file nor output, --set gives what is missing.
    expect(parseConfig('', '--preset', ['output=p'], 'grpo-small').output).toBe('p');
  });

  it('are blamed with their line, also below a preset', () => {
    const error = failure(() => parseConfig('preset: grpo-small\noutput: o\nevaluation:\n  instancs: 9\n', 'x.yaml'));
    expect(error).toMatchObject({ code: 'ERR_CONFIG_KEY', hint: 'did you mean evaluation.instances?' });
    expect(error.message).toContain('x.yaml line 4');
  });

  it('name no preset that is not there', () => {
    const error = failure(() => resolveConfig({ preset: 'grpo-smal', output: 'o' }));
    expect(error).toMatchObject({ code: 'ERR_PRESET_UNKNOWN', hint: 'did you mean grpo-small?' });
    expect(failure(() => resolveConfig({ preset: { name: 'x' }, output: 'o' })).code).toBe('ERR_PRESET_UNKNOWN');
    expect(failure(() => resolveConfig({ preset: ['grpo-small'], output: 'o' })).code).toBe('ERR_PRESET_UNKNOWN');
  });
});
