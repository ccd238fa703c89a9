"""transformers: steps of decoding for B prompts of one length with a cache of keys and values, sampling included."""

import time

from decoder import is_greedy, load_decoder, next_tokens
from request import NotDone

WARMUP_STEPS = 2


def measure_decode(request):
    import torch

    prompts = request["prompts"]
    if len({len(prompt) for prompt in prompts}) != 1:
        raise NotDone("decode of prompts of different lengths")
    model = load_decoder(request)
    ids = torch.tensor(prompts)
    greedy = is_greedy(request)

    def decode(steps):
        """Seconds of the steps, and the tokens [rows, steps]; the prompts are computed before the clock starts."""
        output = model(ids, use_cache=True, logits_to_keep=1)
        chosen = []
        started = time.perf_counter()
        for _ in range(steps):
            chosen.append(next_tokens(output.logits, greedy))
            output = model(chosen[-1], past_key_values=output.past_key_values, use_cache=True)
        return time.perf_counter() - started, torch.cat(chosen, 1).tolist()

    with torch.inference_mode():
        decode(WARMUP_STEPS)
        trials = [decode(request["steps"]) for _ in range(request.get("repetitions", 1))]
    reply = dict(
        seconds=[seconds for seconds, _ in trials],
        tokens=len(prompts) * request["steps"],
        sampling="greedy" if greedy else "temperature",
    )
    return dict(reply, completions=trials[-1][1]) if greedy else reply
