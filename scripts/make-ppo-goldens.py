"""Makes ppo.json and ppo-gradients.safetensors of test/fixtures/losses: PPO with a critic on the tiny Qwen2 of make-loss-goldens.py.

Run by hand when a golden must change; neither the build nor the tests need Python:

    python scripts/make-ppo-goldens.py

Made with python 3.11, torch 2.13.0, transformers 5.18.0, trl 1.13.0, in float64 on a CPU with one thread.

The policy's loss is TRL's own code, as in make-loss-goldens.py, given advantages of tokens. What TRL has no more is written here in
plain PyTorch on padded batches: a value head on last_hidden_state, KL in the reward token by token, GAE, whitening, and the clipped
value loss. Gradients are PyTorch's.

  own      policy and critic have a body each (of the same weights): the critic's loss and gradients
  shared   one body: policy loss + coefficient * value loss in one backward pass; a truncated completion is masked
"""

import importlib.util
import json
import pathlib

import safetensors.torch
import torch
from trl.trainer.grpo_trainer import GRPOTrainer

SPEC = importlib.util.spec_from_file_location("losses", pathlib.Path(__file__).parent / "make-loss-goldens.py")
losses = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(losses)

DEFAULTS = {**losses.DEFAULTS, "loss_type": "bnpo", "gamma": 1.0, "lambda": 1.0, "coefficient": 1.0}
CASES = {
    "own": {**DEFAULTS, "gamma": 0.97, "lambda": 0.9, "clip": 0.3, "kl": 0.05, "mask_truncated": False},
    "shared": {**DEFAULTS, "clip": None, "kl": 0.0, "coefficient": 0.4, "mask_truncated": True, "entropy_coef": 0.02},
}


def values_of(model, score, inputs):
    """(B, T): the value of a completion token, read one position before it."""
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    hidden = model.model(input_ids=ids, attention_mask=mask).last_hidden_state
    count = inputs["completion_ids"].size(1)
    return (hidden @ score.T)[:, -count - 1 : -1, 0]


def rewards_of(case, batch, noise, mask):
    """(B, T): k1 taken from every token, the reward on the last one."""
    rewards = -case["kl"] * (noise["old"] - noise["reference"]) * mask
    for row, reward in enumerate(batch["rewards"]):
        rewards[row, len(batch["completions"][row]) - 1] += reward
    return rewards


def gae(case, rewards, values, mask):
    values = values * mask
    result = torch.zeros_like(values)
    follow = torch.zeros(len(values), dtype=torch.float64)
    for t in reversed(range(values.size(1))):
        after = values[:, t + 1] if t + 1 < values.size(1) else torch.zeros_like(follow)
        follow = rewards[:, t] + case["gamma"] * after - values[:, t] + case["gamma"] * case["lambda"] * follow
        result[:, t] = follow
    return result * mask, (result + values) * mask


def whiten(values, mask):
    chosen = values[mask == 1]
    return (values - chosen.mean()) * torch.rsqrt(chosen.var() + 1e-8) * mask


def value_loss(case, values, old, returns, mask):
    free = (values - returns) ** 2
    if case["clip"] is None:
        return 0.5 * (free * mask).sum() / mask.sum(), 0
    bounded = torch.minimum(torch.maximum(values, old - case["clip"]), old + case["clip"])
    clipped = (bounded - returns) ** 2
    assert ((free - clipped).abs()[(mask == 1) & (free != clipped)] > losses.MARGIN).all(), "change the seed"
    return 0.5 * (torch.maximum(free, clipped) * mask).sum() / mask.sum(), ((clipped > free) & (mask == 1)).sum().item()


def run_case(model, score, name, batch, noise):
    case = CASES[name]
    inputs = losses.tensors(batch)
    whole = inputs["completion_mask"]
    with torch.no_grad():
        current = losses.logprobs(model, inputs, case["temperature"])
        now = values_of(model, score, inputs)
    old_values = now + noise["values"]
    # The last kept values were those of the rollout; padding has none.
    advantages, returns = gae(case, rewards_of(case, batch, noise, whole), old_values, whole)
    mask = whole
    if case["mask_truncated"]:
        mask = whole * torch.tensor([[0 if cut else 1] for cut in batch["truncated"]])
    inputs["old_per_token_logps"] = current + noise["old"]
    inputs["completion_mask"] = mask
    inputs["advantages"] = whiten(advantages, mask)
    inputs["num_items_in_batch"] = mask.sum()
    losses.require_margin(case, torch.exp(-noise["old"]), whole)
    model.zero_grad()
    score.grad = None
    policy = GRPOTrainer._compute_loss(losses.stand_in(model, case), model, inputs)
    attended = {**inputs, "completion_mask": whole}
    value, clipped = value_loss(case, values_of(model, score, attended), old_values, returns, mask)
    (policy + case["coefficient"] * value if name == "shared" else value).backward()
    rows = lambda table: [table[i, : len(c)].tolist() for i, c in enumerate(batch["completions"])]
    golden = {
        **case, "policyLoss": policy.item(), "valueLoss": value.item(), "clipped": clipped,
        "advantages": rows(inputs["advantages"]), "returns": rows(returns), "values": rows(now),
        "oldValues": rows(old_values), "old": rows(inputs["old_per_token_logps"]),
        "reference": rows(current + noise["reference"]),
    }
    tensors = {n: p.grad for n, p in model.named_parameters() if p.grad is not None} | {"score.weight": score.grad}
    return golden, {f"{name}/{n}": g.float().contiguous() for n, g in tensors.items()}


def main():
    torch.set_num_threads(1)
    model = losses.make_model()
    model.set_attn_implementation("exact")
    batch = losses.make_batch()
    generator = torch.Generator().manual_seed(13)
    shape = (len(batch["completions"]), losses.MAX_TOKENS)
    draw = lambda scale: scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    noise = dict(old=draw(0.25), reference=draw(0.4), values=draw(0.5))
    score = 0.4 * torch.randn(1, model.config.hidden_size, generator=generator)
    safetensors.torch.save_file({"score.weight": score.contiguous()}, losses.ROOT / "model" / "value_head.safetensors")
    score = score.double().requires_grad_()
    cases, gradients = {}, {}
    for name in CASES:
        cases[name], own = run_case(model, score, name, batch, noise)
        gradients.update(own)
    safetensors.torch.save_file(gradients, losses.ROOT / "ppo-gradients.safetensors")
    (losses.ROOT / "ppo.json").write_text(json.dumps(dict(batch=batch, cases=cases)) + "\n")


if __name__ == "__main__":
    main()
