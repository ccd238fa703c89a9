import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatModelConfig, readModelFolder, writeModelConfig } from '../../lib/native/index.js';
import { tinyConfig } from '../border/support.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'winnow-folder-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (name: string, content: unknown) =>
  writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
const code = (expected: string) => expect.objectContaining({ code: expected });

describe('model folders', () => {
  it('come back as they were written', () => {
    writeModelConfig(folder, tinyConfig, { eosTokenIds: [7, 9], padTokenId: 3, dtype: 'bf16' });
    write('model.safetensors', '');
    expect(readModelFolder(folder)).toMatchObject({
      config: tinyConfig,
      weightFiles: [join(folder, 'model.safetensors')],
      eosTokenIds: [7, 9],
      raw: { model_type: 'qwen2', torch_dtype: 'bfloat16', pad_token_id: 3 },
    });
    expect(JSON.parse(readFileSync(join(folder, 'generation_config.json'), 'utf8'))).toEqual({
      eos_token_id: [7, 9],
      pad_token_id: 3,
    });
    expect(existsSync(join(folder, 'config.json.partial'))).toBe(false);
  });

  it('take the stop tokens of generation_config.json before those of config.json', () => {
    write('config.json', formatModelConfig(tinyConfig, { eosTokenIds: [1] }));
    write('model.safetensors', '');
    expect(readModelFolder(folder).eosTokenIds).toEqual([1]);
    write('generation_config.json', { eos_token_id: [4, 5] });
    expect(readModelFolder(folder).eosTokenIds).toEqual([4, 5]);
    write('generation_config.json', {});
    expect(readModelFolder(folder).eosTokenIds).toEqual([1]);
    write('generation_config.json', { eos_token_id: 'x' });
    expect(() => readModelFolder(folder)).toThrow(code('ERR_MODEL_CONFIG'));
  });

  it('list every shard of an index once', () => {
    writeModelConfig(folder, tinyConfig, { eosTokenIds: [] });
    const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    write('model.safetensors.index.json', { weight_map: { a: shards[0], b: shards[1], c: shards[0] } });
    write(shards[0] as string, '');
    expect(() => readModelFolder(folder)).toThrow(code('ERR_FILE_OPEN'));
    write(shards[1] as string, '');
    expect(readModelFolder(folder).weightFiles).toEqual(shards.map((shard) => join(folder, shard)));
  });

  it.each(['../x.safetensors', '/etc/passwd', '..', '', 5])('refuse an index that names %j', (shard) => {
    writeModelConfig(folder, tinyConfig, { eosTokenIds: [] });
    write('model.safetensors.index.json', { weight_map: { a: shard } });
    expect(() => readModelFolder(folder)).toThrow(code('ERR_FILE_FORMAT'));
  });

  it('say what is missing or damaged', () => {
    expect(() => readModelFolder(join(folder, 'absent'))).toThrow(code('ERR_FILE_OPEN'));
    write('config.json', '{');
    expect(() => readModelFolder(folder)).toThrow(code('ERR_FILE_FORMAT'));
    write('config.json', '[]');
    expect(() => readModelFolder(folder)).toThrow(code('ERR_FILE_FORMAT'));
    writeModelConfig(folder, tinyConfig, { eosTokenIds: [] });
    expect(() => readModelFolder(folder)).toThrow(code('ERR_FILE_OPEN'));
    write('pytorch_model.bin', '');
    expect(() => readModelFolder(folder)).toThrow(/no weights/);
    write('model.safetensors.index.json', {});
    expect(() => readModelFolder(folder)).toThrow(code('ERR_FILE_FORMAT'));
  });

  it('that cannot be written are an error, and nothing half-written stays', () => {
    expect(() => writeModelConfig(join(folder, 'absent'), tinyConfig, { eosTokenIds: [] })).toThrow(
      code('ERR_FILE_WRITE'),
    );
    mkdirSync(join(folder, 'config.json'));
    expect(() => writeModelConfig(folder, tinyConfig, { eosTokenIds: [] })).toThrow(code('ERR_FILE_WRITE'));
    expect(existsSync(join(folder, 'config.json.partial'))).toBe(false);
    if (process.getuid?.() === 0) return; // root writes anywhere
    chmodSync(folder, 0o500);
    expect(() => writeModelConfig(folder, tinyConfig, { eosTokenIds: [] })).toThrow(code('ERR_FILE_WRITE'));
    chmodSync(folder, 0o700);
  });
});
