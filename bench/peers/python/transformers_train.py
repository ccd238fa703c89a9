"""transformers: full training steps, that is forward, mean next-token cross-entropy, backward and AdamW."""

import sys
import time

from decoder import load_decoder


def measure_train(request):
    import torch

    model = load_decoder(request, training=True)
    # One fused pass over parameters, gradients and moments: the fastest AdamW that PyTorch has on a CPU.
    optimizer = torch.optim.AdamW(model.parameters(), lr=request["learningRate"], weight_decay=0.0, fused=True)
    ids = torch.tensor(request["sequences"])
    seconds, losses = [], []
    for _ in range(request["steps"]):
        started = time.perf_counter()
        loss = model(ids, labels=ids, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        seconds.append(time.perf_counter() - started)
        print(f"step {len(seconds)}: {seconds[-1]:.2f} s", file=sys.stderr, flush=True)
    return dict(seconds=seconds, loss=losses[0], losses=losses)
