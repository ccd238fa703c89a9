/** adapter_config.json: what PEFT says is read, and what this version does not compute is refused. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { expandTargets, readAdapterFolder, readModelFolder } from '../../lib/native/index.js';

const kFolder = fileURLToPath(new URL('../fixtures/lora/rank-stabilised', import.meta.url));
const kRaw = JSON.parse(readFileSync(join(kFolder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;

function folderWith(change: Record<string, unknown>): string {
  const folder = mkdtempSync(join(tmpdir(), 'winnow-adapter-'));
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ ...kRaw, ...change }));
  writeFileSync(join(folder, 'adapter_model.safetensors'), '');
  return folder;
}

describe('an adapter folder', () => {
  it('of PEFT is read', () => {
    expect(readAdapterFolder(kFolder).config).toEqual({
      ...{ rank: 3, alpha: 2, dropout: 0, rsLora: true },
      targets: ['layers.1.mlp.down_proj', 'q_proj', 'v_proj'],
    });
  });

  it('may name all linear layers', () => {
    const { targets } = readAdapterFolder(folderWith({ target_modules: 'all-linear' })).config;
    expect(targets).toEqual([...expandTargets(['all-linear'])].sort());
    expect(targets).toHaveLength(7);
  });

  it.each([
    ['peft_type', 'IA3'],
    ['bias', 'all'],
    ['use_dora', true],
    ['modules_to_save', ['lm_head']],
    ['rank_pattern', { q_proj: 8 }],
    ['alpha_pattern', { q_proj: 8 }],
    ['layers_to_transform', [0]],
    ['exclude_modules', ['v_proj']],
    ['fan_in_fan_out', true],
    ['lora_bias', true],
    ['layer_replication', [[0, 1]]],
    ['target_parameters', ['x']],
    ['trainable_token_indices', [1]],
    ['init_lora_weights', 'pissa'],
    ['some_later_field', 3],
    ['target_modules', '.*q_proj$'],
    ['target_modules', []],
    ['target_modules', ['(q|v)_proj']],
    ['target_modules', undefined],
    ['r', 0],
    ['r', 2.5],
    ['r', undefined],
    ['lora_alpha', -1],
    ['lora_alpha', '16'],
    ['lora_dropout', 1],
    ['use_rslora', 'yes'],
  ])('with %s = %j is refused by name', (field, value) => {
    expect(() => readAdapterFolder(folderWith({ [field]: value }))).toThrow(
      expect.objectContaining({ code: 'ERR_ADAPTER_CONFIG', message: expect.stringContaining(field) }),
    );
  });

  it('without weights, or with pickled ones, is refused', () => {
    const folder = mkdtempSync(join(tmpdir(), 'winnow-adapter-'));
    expect(() => readAdapterFolder(folder)).toThrow(expect.objectContaining({ code: 'ERR_FILE_OPEN' }));
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(kRaw));
    writeFileSync(join(folder, 'adapter_model.bin'), '');
    expect(() => readAdapterFolder(folder)).toThrow(
      expect.objectContaining({ code: 'ERR_FILE_OPEN', received: 'adapter_model.bin' }),
    );
  });

  it('in place of a model says how it is meant to be used', () => {
    expect(() => readModelFolder(kFolder)).toThrow(
      expect.objectContaining({ code: 'ERR_FILE_OPEN', hint: expect.stringContaining('--adapter') }),
    );
  });
});
