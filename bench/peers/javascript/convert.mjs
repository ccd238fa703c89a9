// A Qwen2 model folder as a GGUF file beside it. The vocabulary is made up: peers are given token ids, never text.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { writeGguf } from './gguf.mjs';
import { FORMATS } from './quantize.mjs';
import { openTensors } from './safetensors.mjs';

const PIECE_NUMBERS = 1 << 20;

/** The path of the folder's GGUF file with matrices in `format`; it is written at the first call. */
export function ensureGguf(folder, format) {
  const path = join(folder, 'peers', `model-${format}.gguf`);
  if (existsSync(path) && statSync(path).mtimeMs >= statSync(join(folder, 'config.json')).mtimeMs) return path;
  mkdirSync(join(folder, 'peers'), { recursive: true });
  const unfinished = `${path}.${process.pid}`;
  try {
    convert(folder, format, unfinished);
    renameSync(unfinished, path);
  } finally {
    rmSync(unfinished, { force: true });
  }
  return path;
}

export function convert(folder, format, path) {
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  if (config.model_type !== 'qwen2') throw new Error(`model_type is ${config.model_type}; the converter knows qwen2`);
  const { tensors, close } = openTensors(folder);
  const list = [];
  for (const [name, tensor] of tensors) {
    if (name === 'lm_head.weight' && config.tie_word_embeddings) continue;
    list.push(encoded(ggufName(name), tensor, format));
  }
  writeGguf(path, metadata(config), list);
  close();
}

/** Matrices in the format asked for where their rows are whole blocks, else bf16; norms and biases in f32. */
function encoded(name, { shape, read }, wanted) {
  const isMatrix = shape.length === 2;
  const fits = isMatrix && shape[1] % FORMATS[wanted].block === 0;
  const format = isMatrix ? FORMATS[fits ? wanted : 'bf16'] : FORMATS.f32;
  const count = shape.reduce((product, size) => product * size, 1);
  function* pieces() {
    for (let first = 0; first < count; first += PIECE_NUMBERS)
      yield format.encode(read(first, Math.min(PIECE_NUMBERS, count - first)));
  }
  return { name, shape, format, pieces };
}

const IN_LAYER = {
  'input_layernorm.weight': 'attn_norm.weight',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'post_attention_layernorm.weight': 'ffn_norm.weight',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};

const OUTSIDE = {
  'model.embed_tokens.weight': 'token_embd.weight',
  'model.norm.weight': 'output_norm.weight',
  'lm_head.weight': 'output.weight',
};

export function ggufName(name) {
  if (OUTSIDE[name]) return OUTSIDE[name];
  const [, layer, inside] = name.match(/^model\.layers\.(\d+)\.(.+)$/) ?? [];
  for (const [theirs, ours] of Object.entries(IN_LAYER))
    if (inside === theirs || inside?.startsWith(`${theirs}.`)) return `blk.${layer}.${inside.replace(theirs, ours)}`;
  throw new Error(`no place for the tensor ${name} in a GGUF file`);
}

function metadata(config) {
  const vocabulary = Array.from({ length: config.vocab_size }, (_, token) => `<${token}>`);
  const ropeTheta = config.rope_parameters?.rope_theta ?? config.rope_theta;
  return [
    ['general.architecture', 'string', 'qwen2'],
    ['qwen2.block_count', 'uint32', config.num_hidden_layers],
    ['qwen2.context_length', 'uint32', config.max_position_embeddings],
    ['qwen2.embedding_length', 'uint32', config.hidden_size],
    ['qwen2.feed_forward_length', 'uint32', config.intermediate_size],
    ['qwen2.attention.head_count', 'uint32', config.num_attention_heads],
    ['qwen2.attention.head_count_kv', 'uint32', config.num_key_value_heads],
    ['qwen2.attention.layer_norm_rms_epsilon', 'float32', config.rms_norm_eps],
    ['qwen2.rope.freq_base', 'float32', ropeTheta],
    ['tokenizer.ggml.model', 'string', 'gpt2'],
    ['tokenizer.ggml.pre', 'string', 'qwen2'],
    ['tokenizer.ggml.tokens', 'string[]', vocabulary],
    ['tokenizer.ggml.token_type', 'int32[]', vocabulary.map(() => 1)],
    ['tokenizer.ggml.merges', 'string[]', ['< >']],
    ['tokenizer.ggml.eos_token_id', 'uint32', config.vocab_size - 1],
  ];
}
