"""Times GRPO steps of TRL's GRPOTrainer on a decoder with random weights. One JSON line at the end.

The same step as `winnow bench grpo`: one prompt of P tokens, G completions of exactly R tokens (the end token cannot be
sampled), one update, no KL term, temperature 1, constant learning rate, no vLLM, no padding (all lengths are equal).

    python trl_grpo.py [--shape qwen2.5-0.5b|tiny] [--dtype bf16|f32] [--threads 2] [--steps 4] [--group 8 --prompt 256 --completion 64]
"""

import argparse
import importlib.metadata
import json
import os
import resource
import statistics
import sys
import tempfile
import time

SHAPES = {
    "qwen2.5-0.5b": dict(
        vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, tie_word_embeddings=True, max_position_embeddings=4096,
    ),
    "tiny": dict(
        vocab_size=1000, hidden_size=64, intermediate_size=176, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=True, max_position_embeddings=1024,
    ),
}


def read_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="qwen2.5-0.5b")
    parser.add_argument("--dtype", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4, help="the first one is a warm-up and is not counted")
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--completion", type=int, default=64)
    return parser.parse_args()


def word_tokenizer(vocabulary):
    """Token i is the word `wi`, so that a prompt has exactly as many tokens as words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"w{i}": i for i in range(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    last = vocabulary - 1
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=f"w{last}", pad_token=f"w{last - 1}")


def main():
    options = read_options()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    import torch
    import transformers
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    transformers.utils.logging.set_verbosity_error()
    shape = SHAPES[options.shape]
    eos = shape["vocab_size"] - 1
    config = transformers.Qwen2Config(
        **shape, rms_norm_eps=1e-6, rope_parameters=dict(rope_type="default", rope_theta=1e6),
        bos_token_id=None, eos_token_id=eos, pad_token_id=eos - 1,
    )
    dtype = torch.bfloat16 if options.dtype == "bf16" else torch.float32
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    tokenizer = word_tokenizer(shape["vocab_size"])

    prompt = " ".join(f"w{(i * 37) % 900}" for i in range(options.prompt))
    assert len(tokenizer(prompt)["input_ids"]) == options.prompt
    lengths = []

    def reward(completions, completion_ids, **_):
        lengths.extend(len(ids) for ids in completion_ids)
        return [float(sum(ids) % 7) for ids in completion_ids]  # not constant, so that advantages are not zero

    step_seconds = []

    class Clock(transformers.TrainerCallback):
        def on_step_begin(self, *_, **__):
            self.started = time.perf_counter()

        def on_step_end(self, *_, **__):
            step_seconds.append(time.perf_counter() - self.started)
            print(f"step {len(step_seconds)}: {step_seconds[-1]:.1f} s", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as output:
        trainer = GRPOTrainer(
            model=model,
            processing_class=tokenizer,
            reward_funcs=reward,
            train_dataset=Dataset.from_dict({"prompt": [prompt] * options.steps}),
            callbacks=[Clock()],
            args=GRPOConfig(
                output_dir=output, per_device_train_batch_size=options.group, num_generations=options.group,
                gradient_accumulation_steps=1, max_steps=options.steps, max_completion_length=options.completion,
                learning_rate=1e-6, lr_scheduler_type="constant", beta=0.0, temperature=1.0, top_k=0, top_p=1.0,
                generation_kwargs=dict(suppress_tokens=[eos, eos - 1], min_new_tokens=options.completion),
                bf16=False, gradient_checkpointing=False, use_cpu=True, use_vllm=False, report_to="none",
                save_strategy="no", logging_strategy="no", disable_tqdm=True, dataloader_num_workers=0, seed=0,
            ),
        )
        trainer.train()
    assert set(lengths) == {options.completion}, f"completions of {set(lengths)} tokens"
    timed = step_seconds[1:] or step_seconds
    print(json.dumps(dict(
        benchmark="grpo", peer="trl", shape=options.shape, dtype=options.dtype, threads=options.threads,
        group=options.group, prompt=options.prompt, completion=options.completion, trials=len(timed),
        secondsMedian=statistics.median(timed), secondsMin=min(timed), secondsMax=max(timed),
        peakResidentBytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        versions={name: importlib.metadata.version(name) for name in ["trl", "transformers", "torch"]},
    )))


if __name__ == "__main__":
    main()
