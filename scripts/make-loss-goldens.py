"""Makes test/fixtures/losses: losses and gradients of policy-gradient algorithms on a tiny Qwen2, and an AdamW trajectory.

Run by hand when a golden must change; neither the build nor the tests need Python:

    python scripts/make-loss-goldens.py

Made with python 3.11, torch 2.13.0, transformers 5.18.0, trl 1.13.0, in float64 on a CPU with one thread.

Where the oracle is TRL, the loss is the unchanged GRPOTrainer._compute_loss of trl, called on a stand-in for the trainer that
holds the settings alone, with prompts padded on the left and completions on the right. Where it is "plain", the loss is written
here from its paper. Advantages are computed here from the rewards. Gradients are PyTorch's.

The folder holds
  model/                  config.json, model.safetensors (f32)
  golden.json             the batch; per case the settings in TRL's words, the advantages and the loss
  gradients.safetensors   <case>/<tensor>, f32
  adamw.safetensors       the weights after 20 steps
"""

import collections
import inspect
import json
import pathlib
import types

import safetensors.torch
import torch
import transformers
import trl
from exact_arithmetic import use_exact_norms
from trl.trainer.grpo_trainer import GRPOTrainer

ROOT = pathlib.Path(__file__).resolve().parent.parent / "test" / "fixtures" / "losses"
VOCABULARY = 37
GROUP = 3
MAX_TOKENS = 10
# No ratio may lie so near to a clip bound that rounding decides on which side it is.
MARGIN = 1e-3
# Without the decorator that measures time.
TOKEN_LOGPROBS = inspect.unwrap(GRPOTrainer._get_per_token_logps_and_entropies)


def make_model():
    config = transformers.Qwen2Config(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, rms_norm_eps=1e-6, tie_word_embeddings=False,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0), bos_token_id=35, eos_token_id=36,
    )
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            normal = torch.randn(parameter.shape, generator=generator)
            offset = 1.0 if "norm" in name else 0.0
            scale = 0.3 if parameter.dim() == 1 else 0.5 if "embed" in name else 1.2 / parameter.shape[1] ** 0.5
            parameter.copy_(offset + scale * normal)
    model.save_pretrained(ROOT / "model")
    return use_exact_norms(model.double()).train()


transformers.AttentionMaskInterface.register("exact", transformers.masking_utils.eager_mask)


def make_batch():
    """Two prompts of different lengths, three completions each; the last one of the second was cut off."""
    generator = torch.Generator().manual_seed(6)
    draw = lambda count: torch.randint(0, 35, (count,), generator=generator).tolist()
    prompts = [draw(7), draw(4)]
    completions = [draw(5) + [36], draw(1) + [36], draw(8) + [36], draw(3) + [36], draw(6) + [36], draw(MAX_TOKENS)]
    values = torch.randn(len(completions), MAX_TOKENS, generator=generator, dtype=torch.float64)
    return dict(
        prompts=prompts, completions=completions, truncated=[False] * 5 + [True],
        rewards=[1.0, 0.0, 0.5, -0.5, 1.0, 0.25], maxTokens=MAX_TOKENS,
        values=[values[i, : len(c)].tolist() for i, c in enumerate(completions)],
    )


def pad(rows, left, fill=0):
    width = max(map(len, rows))
    place = lambda row: [fill] * (width - len(row)) + row if left else row + [fill] * (width - len(row))
    return torch.tensor([place(list(row)) for row in rows])


def tensors(batch):
    prompts = [prompt for prompt in batch["prompts"] for _ in range(GROUP)]
    ones = lambda rows: [[1] * len(row) for row in rows]
    return dict(
        prompt_ids=pad(prompts, True), prompt_mask=pad(ones(prompts), True),
        completion_ids=pad(batch["completions"], False), completion_mask=pad(ones(batch["completions"]), False),
    )


def stand_in(model, case):
    """What _compute_loss reads of its trainer."""
    accelerator = types.SimpleNamespace(
        num_processes=1, sync_gradients=True, is_main_process=False, gather=lambda x: x, reduce=lambda x, reduction: x,
    )
    trainer = types.SimpleNamespace(
        accelerator=accelerator, model=model, model_kwarg_keys=["logits_to_keep"], temperature=case["temperature"],
        top_entropy_quantile=1.0, off_policy_mask_threshold=None, aux_loss_enabled=False, use_vllm=False,
        current_gradient_accumulation_steps=1, max_completion_length=MAX_TOKENS, use_adaptive_entropy=False,
        importance_sampling_level=case["importance_sampling_level"], beta=case["beta"], loss_type=case["loss_type"],
        epsilon_low=case["epsilon_low"], epsilon_high=case["epsilon_high"], entropy_coef=case["entropy_coef"],
        _entropy_bonus_enabled=case["entropy_coef"] > 0, _metrics=collections.defaultdict(lambda: collections.defaultdict(list)),
        args=types.SimpleNamespace(
            use_bias_correction_kl=case["use_bias_correction_kl"], delta=case["delta"], steps_per_generation=1
        ),
    )
    trainer._get_per_token_logps_and_entropies = types.MethodType(TOKEN_LOGPROBS, trainer)
    return trainer


def logprobs(model, inputs, temperature):
    trainer = types.SimpleNamespace(model_kwarg_keys=["logits_to_keep"], temperature=temperature)
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    count = inputs["completion_ids"].size(1)
    return TOKEN_LOGPROBS(trainer, model, ids, mask, count)[0]


def advantages_of(case, batch):
    """(B,), or (B, T) for the per-token advantages of GAE."""
    rewards = torch.tensor(batch["rewards"], dtype=torch.float64).view(-1, GROUP)
    centred = rewards - rewards.mean(1, keepdim=True)
    if case["advantage"] == "group":
        return (centred / (rewards.std(1, keepdim=True) + 1e-4)).view(-1)
    if case["advantage"] == "mean":
        return centred.view(-1)
    if case["advantage"] == "leave-one-out":
        return (rewards - (rewards.sum(1, keepdim=True) - rewards) / (GROUP - 1)).view(-1)
    if case["advantage"] == "batch":
        return ((rewards - rewards.mean()) / (rewards.std() + 1e-8)).view(-1)
    return generalised(case, batch)


def generalised(case, batch):
    result = torch.zeros(len(batch["completions"]), MAX_TOKENS, dtype=torch.float64)
    for row, (reward, values) in enumerate(zip(batch["rewards"], batch["values"], strict=True)):
        follow = 0.0
        for t in reversed(range(len(values))):
            last = t + 1 == len(values)
            delta = (reward if last else 0.0) + case["gamma"] * (0.0 if last else values[t + 1]) - values[t]
            follow = delta + case["gamma"] * case["lambda"] * follow
            result[row, t] = follow
    return result


def plain_loss(model, case, inputs):
    """max(-r A, -clip(r) A) averaged over tokens (PPO, eq. 7) plus beta (log p - log ref)^2 / 2, Schulman's k2."""
    current = logprobs(model, inputs, case["temperature"])
    ratio = torch.exp(current - inputs["old_per_token_logps"])
    advantage = inputs["advantages"].unsqueeze(1)
    bounded = ratio.clamp(1 - case["epsilon_low"], 1 + case["epsilon_high"])
    token = torch.maximum(-ratio * advantage, -bounded * advantage)
    token = token + case["beta"] * (current - inputs["ref_per_token_logps"]) ** 2 / 2
    return (token * inputs["completion_mask"]).sum() / inputs["completion_mask"].sum()


DEFAULTS = dict(
    oracle="trl", loss_type="grpo", advantage="group", epsilon_low=0.2, epsilon_high=0.2, delta=None, beta=0.0,
    use_bias_correction_kl=False, importance_sampling_level="token", entropy_coef=0.0, temperature=1.0,
    mask_truncated=False,
)
CASES = {
    "grpo": dict(beta=0.04),
    "grpo-kl-corrected": dict(beta=0.04, use_bias_correction_kl=True, temperature=0.9),
    "dr-grpo": dict(loss_type="dr_grpo", advantage="mean"),
    "dapo": dict(loss_type="dapo", epsilon_high=0.28, mask_truncated=True),
    "entropy": dict(loss_type="dapo", entropy_coef=0.05, temperature=0.8),
    "gspo": dict(importance_sampling_level="sequence", epsilon_low=0.05, epsilon_high=0.06),
    "cispo": dict(loss_type="cispo", epsilon_high=1.3),
    "rloo": dict(loss_type="dapo", advantage="leave-one-out", delta=1.4),
    "reinforce++": dict(loss_type="dapo", advantage="batch"),
    "ppo": dict(loss_type="bnpo", advantage="gae", gamma=0.95, **{"lambda": 0.9}),
    "kl-k2": dict(oracle="plain", loss_type="bnpo", beta=0.1),
}


def require_margin(case, ratio, mask):
    bounds = [1 - case["epsilon_low"], 1 + case["epsilon_high"], case["epsilon_high"], case["delta"] or 0]
    near = min((ratio[mask == 1] - bound).abs().min().item() for bound in bounds)
    assert near > MARGIN, f"a ratio lies {near} from a bound; change the seed"


def run_case(model, name, batch, noise):
    case = {**DEFAULTS, **CASES[name]}
    inputs = tensors(batch)
    mask = inputs["completion_mask"]
    with torch.no_grad():
        current = logprobs(model, inputs, case["temperature"])
    inputs["old_per_token_logps"] = current + noise["old"]
    inputs["ref_per_token_logps"] = current + noise["reference"]
    if case["mask_truncated"]:
        inputs["completion_mask"] = mask * torch.tensor([[0 if cut else 1] for cut in batch["truncated"]])
    inputs["advantages"] = advantages_of(case, batch)
    inputs["num_items_in_batch"] = inputs["completion_mask"].sum()
    require_margin(case, torch.exp(-noise["old"]), mask)
    model.zero_grad()
    loss = (
        plain_loss(model, case, inputs)
        if case["oracle"] == "plain"
        else GRPOTrainer._compute_loss(stand_in(model, case), model, inputs)
    )
    loss.backward()
    rows = lambda values: [values[i, : len(c)].tolist() for i, c in enumerate(batch["completions"])]
    golden = {
        **case, "loss": loss.item(), "advantages": inputs["advantages"].tolist(),
        "old": rows(inputs["old_per_token_logps"]), "reference": rows(inputs["ref_per_token_logps"]),
    }
    gradients = {f"{name}/{n}": p.grad.float().contiguous() for n, p in model.named_parameters()}
    return golden, gradients


def adamw_trajectory(model, batch, steps=20):
    """Supervised steps on the completions: mean over tokens, gradient norm clipped to 1, decay on matrices alone."""
    settings = dict(lr=3e-3, betas=(0.9, 0.98), eps=1e-8)
    decay = 0.1
    groups = [
        dict(params=[p for p in model.parameters() if p.dim() > 1], weight_decay=decay),
        dict(params=[p for p in model.parameters() if p.dim() == 1], weight_decay=0.0),
    ]
    optimizer = torch.optim.AdamW(groups, **settings)
    inputs = tensors(batch)
    mask = inputs["completion_mask"]
    losses, norms = [], []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = -(logprobs(model, inputs, 1.0) * mask).sum() / mask.sum()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        losses.append(loss.item())
        optimizer.step()
    weights = {n: p.detach().float().contiguous() for n, p in model.named_parameters()}
    safetensors.torch.save_file(weights, ROOT / "adamw.safetensors")
    return dict(steps=steps, weightDecay=decay, losses=losses, norms=norms, **settings)


def main():
    torch.set_num_threads(1)
    ROOT.mkdir(parents=True, exist_ok=True)
    model = make_model()
    model.set_attn_implementation("exact")
    batch = make_batch()
    generator = torch.Generator().manual_seed(9)
    shape = (len(batch["completions"]), MAX_TOKENS)
    draw = lambda scale: scale * torch.randn(shape, generator=generator, dtype=torch.float64)
    noise = dict(old=draw(0.25), reference=draw(0.4))
    cases, gradients = {}, {}
    for name in CASES:
        cases[name], own = run_case(model, name, batch, noise)
        gradients.update(own)
    safetensors.torch.save_file(gradients, ROOT / "gradients.safetensors")
    golden = dict(
        versions=dict(torch=torch.__version__, transformers=transformers.__version__, trl=trl.__version__),
        group=GROUP, batch=batch, cases=cases, adamw=adamw_trajectory(model, batch),
    )
    (ROOT / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
