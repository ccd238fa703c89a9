import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSession, readModelFolder } from '../../lib/native/index.js';
import { asTokens, differences, openModel, realModelsFolder } from './support.js';

const folder = realModelsFolder();
if (!folder) console.log('skipped: no development data, so real model files are not read');

const goldens = JSON.parse(readFileSync(new URL('../fixtures/real-models.json', import.meta.url), 'utf8')) as Record<
  string,
  { sequences: number[][]; logprobs_f64: number[][] }
>;

test.skipIf(!folder).each(Object.keys(goldens))('%s scores as transformers does', async (name) => {
  const golden = goldens[name] as (typeof goldens)[string];
  const session = openSession({ device: 'cpu' });
  const model = await openModel(session, join(folder as string, name), 'f32');
  const scores = await model.score({ sequences: asTokens(golden.sequences) });
  expect(Math.max(...differences(scores, golden.logprobs_f64))).toBeLessThan(2e-5);
  await session.close();
});

test.skipIf(!folder)('configurations of published Qwen2 models are read in both layouts', async () => {
  const { mkdtempSync, copyFileSync, rmSync, writeFileSync } = await import('node:fs');
  const { tmpdir } = await import('node:os');
  const configs = join(folder as string, 'configs');
  for (const file of readdirSync(configs)) {
    const copy = mkdtempSync(join(tmpdir(), 'winnow-config-'));
    copyFileSync(join(configs, file), join(copy, 'config.json'));
    writeFileSync(join(copy, 'model.safetensors'), '');
    const { config } = readModelFolder(copy);
    expect(config, file).toMatchObject({ qkvBias: true, qkNorm: false, ropeTheta: 1e6, ropeScaling: 'none' });
    expect(config.headDim * config.heads, file).toBe(config.width);
    rmSync(copy, { recursive: true });
  }
});
