import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { formatModelConfig, parseModelConfig } from '../../lib/native/index.js';

// Qwen2-0.5B as transformers 4 writes it (the fields that matter).
const qwen2 = {
  architectures: ['Qwen2ForCausalLM'],
  hidden_act: 'silu',
  hidden_size: 896,
  intermediate_size: 4864,
  max_position_embeddings: 32768,
  max_window_layers: 21,
  model_type: 'qwen2',
  num_attention_heads: 14,
  num_hidden_layers: 24,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000,
  sliding_window: 32768,
  tie_word_embeddings: true,
  torch_dtype: 'bfloat16',
  use_sliding_window: false,
  vocab_size: 151936,
};
const { rope_theta, ...withoutTheta } = qwen2;
const llama = {
  ...withoutTheta,
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  rope_theta: 500000,
  attention_bias: false,
  mlp_bias: false,
  head_dim: 64,
  rope_scaling: {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  },
};
const qwen3 = { ...qwen2, architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3', head_dim: 128 };
const mistral = { ...qwen2, architectures: ['MistralForCausalLM'], model_type: 'mistral', sliding_window: null };

const qwen2Native = {
  vocabulary: 151936,
  width: 896,
  feedForward: 4864,
  layers: 24,
  heads: 14,
  kvHeads: 2,
  headDim: 64,
  maxPositions: 32768,
  normEpsilon: 1e-6,
  qkvBias: true,
  outputBias: false,
  qkNorm: false,
  tiedHead: true,
  ropeTheta: 1000000,
  ropeScaling: 'none',
  ropeFactor: 1,
  ropeLowFrequency: 1,
  ropeHighFrequency: 4,
  ropeOriginalPositions: 0,
};

describe('config.json to the engine', () => {
  it('reads the layout of transformers 4 and that of 5 alike', () => {
    expect(parseModelConfig(qwen2)).toEqual(qwen2Native);
    const five = {
      ...withoutTheta,
      dtype: 'float16',
      layer_types: Array.from({ length: 24 }, () => 'full_attention'),
      rope_parameters: { rope_theta: 1000000, rope_type: 'default' },
      sliding_window: null,
    };
    expect(parseModelConfig(five)).toEqual(qwen2Native);
  });

  it('reads the scaling of Llama 3, in both layouts', () => {
    const expected = { ropeScaling: 'llama3', ropeFactor: 8, ropeTheta: 500000, ropeOriginalPositions: 8192 };
    expect(parseModelConfig(llama)).toMatchObject(expected);
    const { rope_theta: theta, rope_scaling, ...rest } = llama;
    const five = { ...rest, rope_parameters: { ...rope_scaling, rope_theta: theta } };
    expect(parseModelConfig(five)).toEqual(parseModelConfig(llama));
    const linear = { ...llama, rope_scaling: { type: 'linear', factor: 2 } };
    expect(parseModelConfig(linear)).toMatchObject({ ropeScaling: 'linear', ropeFactor: 2 });
  });

  it('follows each family in biases, norms and head size', () => {
    expect(parseModelConfig(qwen3)).toMatchObject({ qkNorm: true, qkvBias: false, outputBias: false, headDim: 128 });
    const { head_dim, ...unsaid } = qwen3;
    expect(parseModelConfig(unsaid).headDim).toBe(128); // Qwen3's default, not hidden_size / heads
    expect(parseModelConfig({ ...llama, attention_bias: true })).toMatchObject({ qkvBias: true, outputBias: true });
    const { num_key_value_heads, ...old } = llama;
    expect(parseModelConfig(old).kvHeads).toBe(14); // Llama 1 and 2 without GQA
    expect(parseModelConfig(mistral)).toMatchObject({ qkvBias: false, qkNorm: false });
    expect(parseModelConfig({ ...mistral, sliding_window: 65536 })).toEqual(parseModelConfig(mistral));
    expect(parseModelConfig({ ...qwen2, eos_token_id: null, rope_scaling: null, quantization_config: null })).toEqual(
      qwen2Native,
    );
  });

  const refused: [string, object, string][] = [
    ['another architecture', { ...qwen2, model_type: 'gemma2' }, 'model_type'],
    ['no architecture', { ...qwen2, model_type: undefined }, 'model_type'],
    ['a name of Object', { ...qwen2, model_type: 'constructor' }, 'model_type'],
    ['a classifier', { ...qwen2, architectures: ['Qwen2ForSequenceClassification'] }, 'architectures'],
    ['another activation', { ...qwen2, hidden_act: 'gelu' }, 'hidden_act'],
    ['a sliding window in use', { ...qwen2, use_sliding_window: true }, 'use_sliding_window'],
    ['mixed layers', { ...qwen2, layer_types: ['full_attention', 'sliding_attention'] }, 'layer_types'],
    ["Mistral's window", { ...mistral, sliding_window: 4096 }, 'sliding_window'],
    ["Mistral's unsaid window", { ...mistral, sliding_window: undefined }, 'sliding_window'],
    ['YaRN', { ...qwen2, rope_scaling: { type: 'yarn', factor: 4 } }, 'rope_scaling.rope_type'],
    ['dynamic NTK', { ...llama, rope_scaling: { rope_type: 'dynamic', factor: 4 } }, 'rope_scaling.rope_type'],
    ['a rope field of no use', { ...llama, rope_scaling: { ...llama.rope_scaling, beta_fast: 32 } }, 'beta_fast'],
    ['two thetas', { ...qwen2, rope_parameters: { rope_theta: 5, rope_type: 'default' } }, 'rope_theta'],
    ['rope per layer type', { ...qwen2, rope_parameters: { full_attention: { rope_theta: 5 } } }, 'full_attention'],
    ['partial rotary', { ...llama, partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
    ['bias in the MLP', { ...llama, mlp_bias: true }, 'mlp_bias'],
    ['Qwen2 without bias', { ...qwen2, attention_bias: false }, 'attention_bias'],
    ['quantised weights', { ...qwen2, quantization_config: { bits: 4 } }, 'quantization_config'],
    ['experts', { ...qwen3, num_experts: 8 }, 'num_experts'],
  ];
  it.each(refused)('refuses %s', (_, raw, field) => {
    expect(() => parseModelConfig(raw as Record<string, unknown>)).toThrow(
      expect.objectContaining({ code: 'ERR_MODEL_UNSUPPORTED', message: expect.stringContaining(field) }),
    );
  });

  const malformed: [string, object, string][] = [
    ['no width', { ...qwen2, hidden_size: undefined }, 'hidden_size'],
    ['a width as text', { ...qwen2, hidden_size: '896' }, 'hidden_size'],
    ['heads that do not divide the width', { ...qwen2, num_attention_heads: 13 }, 'head_dim'],
    ['Qwen2 without its kv heads', { ...qwen2, num_key_value_heads: undefined }, 'num_key_value_heads'],
    ['a flag as text', { ...qwen2, tie_word_embeddings: 'true' }, 'tie_word_embeddings'],
    ['an epsilon of 0', { ...qwen2, rms_norm_eps: 0 }, 'rms_norm_eps'],
    ['Llama 3 without its factor', { ...llama, rope_scaling: { rope_type: 'llama3' } }, 'factor'],
  ];
  it.each(malformed)('refuses %s', (_, raw, field) => {
    expect(() => parseModelConfig(raw as Record<string, unknown>)).toThrow(
      expect.objectContaining({ code: 'ERR_MODEL_CONFIG', message: expect.stringContaining(field) }),
    );
  });
});

describe('the engine to config.json', () => {
  it.each([
    ['qwen2', qwen2],
    ['qwen3', qwen3],
    ['llama', llama],
    ['llama with biases', { ...llama, attention_bias: true }],
    ['linear scaling', { ...llama, rope_scaling: { rope_type: 'linear', factor: 2 } }],
  ] as [string, Record<string, unknown>][])('%s comes back unchanged', (_, raw) => {
    const config = parseModelConfig(raw);
    const written = formatModelConfig(config, { eosTokenIds: [1, 2], padTokenId: 0 });
    expect(parseModelConfig(JSON.parse(JSON.stringify(written)))).toEqual(config);
    expect(written).toMatchObject({ model_type: raw.model_type, eos_token_id: [1, 2], pad_token_id: 0 });
  });

  it('writes the family asked for, or refuses what it cannot say', () => {
    const config = parseModelConfig(mistral);
    expect(formatModelConfig(config, { eosTokenIds: [], architecture: 'mistral' })).toMatchObject({
      model_type: 'mistral',
      sliding_window: null,
      eos_token_id: null,
    });
    expect(() => formatModelConfig(config, { eosTokenIds: [], architecture: 'qwen2' })).toThrow(
      expect.objectContaining({ code: 'ERR_MODEL_UNSUPPORTED' }),
    );
    const odd = { ...parseModelConfig(qwen3), qkvBias: true };
    expect(() => formatModelConfig(odd, { eosTokenIds: [] })).toThrow(
      expect.objectContaining({ code: 'ERR_MODEL_UNSUPPORTED' }),
    );
  });
});

describe('published configurations', () => {
  const folder = fileURLToPath(new URL('../../../shared/data/models/configs/', import.meta.url));
  const present = existsSync(folder);
  if (!present) console.log('skipped: published configurations: ../shared/data/models/configs is absent');
  it.skipIf(!present)('are read', () => {
    const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
    expect(files.length).toBeGreaterThan(3);
    for (const name of files) {
      const config = parseModelConfig(JSON.parse(readFileSync(folder + name, 'utf8')));
      expect(config).toMatchObject({ qkvBias: true, ropeTheta: 1000000, ropeScaling: 'none' });
    }
  });
});
