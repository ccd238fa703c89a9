"""transformers: a prompt of P tokens and the logits after it, nothing else of the head computed."""

import time

from decoder import load_decoder


def measure_prefill(request):
    import torch

    model = load_decoder(request)
    prompt = torch.tensor([request["tokens"]])
    seconds = []
    with torch.inference_mode():
        for trial in range(-request.get("warmups", 1), request.get("repetitions", 1)):
            started = time.perf_counter()
            logits = model(prompt, use_cache=True, logits_to_keep=1).logits
            if trial >= 0:
                seconds.append(time.perf_counter() - started)
        logprobs = torch.log_softmax(logits[0, -1].double(), -1)[request["checkTokens"]]
    return dict(seconds=seconds, checkLogprobs=logprobs.tolist())
