"""Times prefill and decode of transformers on PyTorch with random weights. One JSON line per measurement.

The same work as `winnow bench prefill` and `winnow bench decode`: sampling at temperature 1 included, fixed lengths.

    python torch_prefill_decode.py [--shape qwen2.5-0.5b|tiny] [--dtype bf16|f32] [--threads 2] [--trials 3]
"""

import argparse
import json
import statistics
import time

from trl_grpo import SHAPES


def read_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="qwen2.5-0.5b")
    parser.add_argument("--dtype", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--steps", type=int, default=24)
    return parser.parse_args()


def main():
    options = read_options()
    import torch
    import transformers

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    shape = SHAPES[options.shape]
    config = transformers.Qwen2Config(
        **shape, rms_norm_eps=1e-6, rope_parameters=dict(rope_type="default", rope_theta=1e6), bos_token_id=None
    )
    dtype = torch.bfloat16 if options.dtype == "bf16" else torch.float32
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype).eval()

    def prefill(rows, tokens):
        ids = torch.randint(0, shape["vocab_size"], (rows, tokens))
        return model(ids, use_cache=True, logits_to_keep=1)

    def sample(logits):
        return torch.multinomial(torch.softmax(logits[:, -1].float(), -1), 1)

    def decode(rows):
        output = prefill(rows, options.context)
        started = time.perf_counter()
        for _ in range(options.steps):
            output = model(sample(output.logits), past_key_values=output.past_key_values, use_cache=True)
        return time.perf_counter() - started

    def report(benchmark, rows, tokens, seconds):
        median = statistics.median(seconds)
        print(json.dumps(dict(
            benchmark=benchmark, peer="transformers", shape=options.shape, dtype=options.dtype, threads=options.threads,
            rows=rows, trials=len(seconds), secondsMedian=median, secondsMin=min(seconds), secondsMax=max(seconds),
            tokensPerSecond=tokens / median, versions=dict(torch=torch.__version__, transformers=transformers.__version__),
        )))

    with torch.inference_mode():
        prefill(1, 8)
        seconds = []
        for _ in range(options.trials):
            started = time.perf_counter()
            prefill(1, options.prefill)
            seconds.append(time.perf_counter() - started)
        report("prefill", 1, options.prefill, seconds)
        for rows in (1, 8, 16):
            report("decode", rows, rows * options.steps, [decode(rows) for _ in range(options.trials)])


if __name__ == "__main__":
    main()
