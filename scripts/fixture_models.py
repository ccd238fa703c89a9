"""The decoders of make-fixtures.py: every member of the family, odd sizes, both config layouts, all three weight formats.

`layout` is the version of transformers whose config.json is imitated; `dtype` the format of the weight file.
"""

from transformers import LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

MODELS = [
    dict(
        name="qwen2-tied",
        layout=4,
        dtype="float32",
        seed=11,
        config=Qwen2Config(
            vocab_size=101, hidden_size=40, intermediate_size=72, num_hidden_layers=2, num_attention_heads=5,
            num_key_value_heads=1, max_position_embeddings=256, rms_norm_eps=1e-6, tie_word_embeddings=True,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0), bos_token_id=98, eos_token_id=100,
        ),
    ),
    dict(
        name="qwen2-untied",
        layout=5,
        dtype="bfloat16",
        seed=12,
        config=Qwen2Config(
            vocab_size=97, hidden_size=48, intermediate_size=91, num_hidden_layers=2, num_attention_heads=6,
            num_key_value_heads=2, max_position_embeddings=192, rms_norm_eps=1e-6, tie_word_embeddings=False,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0), bos_token_id=95, eos_token_id=96,
        ),
    ),
    dict(
        name="qwen3",
        layout=5,
        dtype="float32",
        seed=13,
        shard_bytes=50_000,
        config=Qwen3Config(
            vocab_size=101, hidden_size=40, intermediate_size=72, num_hidden_layers=2, num_attention_heads=3,
            num_key_value_heads=1, head_dim=24, max_position_embeddings=256, rms_norm_eps=1e-6,
            tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
            bos_token_id=98, eos_token_id=[100, 99],
        ),
    ),
    dict(
        name="llama3-scaled",
        layout=4,
        dtype="float32",
        seed=14,
        # The original context of 64 puts wavelengths on all three sides of the llama3 rule.
        config=LlamaConfig(
            vocab_size=131, hidden_size=32, intermediate_size=72, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=16, max_position_embeddings=512, rms_norm_eps=1e-5,
            tie_word_embeddings=False, bos_token_id=128, eos_token_id=[129, 130],
            rope_parameters=dict(
                rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=64,
            ),
        ),
    ),
    dict(
        name="llama-linear",
        layout=4,
        dtype="float16",
        seed=15,
        config=LlamaConfig(
            vocab_size=89, hidden_size=40, intermediate_size=67, num_hidden_layers=2, num_attention_heads=5,
            num_key_value_heads=5, max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=False,
            attention_bias=True, bos_token_id=1, eos_token_id=2,
            rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0),
        ),
    ),
    dict(
        name="mistral",
        layout=5,
        dtype="bfloat16",
        seed=16,
        config=MistralConfig(
            vocab_size=103, hidden_size=40, intermediate_size=75, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=1, head_dim=16, max_position_embeddings=256, rms_norm_eps=1e-5,
            tie_word_embeddings=False, sliding_window=None, bos_token_id=1, eos_token_id=2,
            rope_parameters=dict(rope_type="default", rope_theta=100000.0),
        ),
    ),
]
