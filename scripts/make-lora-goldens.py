"""Makes test/fixtures/lora: adapters written by Hugging Face PEFT on the tiny Qwen2 of test/fixtures/losses, with answers.

Run by hand when a golden must change; neither the build nor the tests need Python:

    python scripts/make-lora-goldens.py
    python scripts/make-lora-goldens.py --verify BASE ADAPTER MERGED    what scripts/save-for-peft.mjs wrote, read by PEFT

Made with python 3.11, torch 2.13.0, transformers 5.18.0, peft 0.21.0, in float64 on a CPU with one thread, but for the
merged weights, which PEFT adds up in float32.

For each case the folder holds
  adapter_config.json, adapter_model.safetensors   as PEFT's save_pretrained writes them
  golden.json            sequences; log p(token i | tokens before i) with the adapter, and without it; loss weights; and the
                         losses of AdamW steps
  gradients.safetensors  gradient of loss = sum_i weight_i * -logp_i for A and B under PEFT's names, f32
  trained.safetensors    A and B after the steps
  merged.safetensors     the weights that merge_and_unload changed
"""

import json
import pathlib
import sys

import peft
import safetensors.torch
import torch
import transformers
from exact_arithmetic import use_exact_norms

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "test" / "fixtures"
BASE = FIXTURES / "losses" / "model"
VOCABULARY = 37
CASES = {
    "all-linear": dict(r=4, lora_alpha=6, target_modules="all-linear"),
    "rank-stabilised": dict(
        r=3, lora_alpha=2, use_rslora=True, target_modules=["q_proj", "v_proj", "layers.1.mlp.down_proj"]
    ),
}
STEPS = 10
SETTINGS = dict(lr=5e-3, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.05)


def load_base():
    return transformers.AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32, attn_implementation="exact")


def make_adapter(settings):
    """Random A as PEFT draws it, and a random B, which PEFT makes 0."""
    torch.manual_seed(11)
    model = peft.get_peft_model(load_base(), peft.LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **settings))
    generator = torch.Generator().manual_seed(12)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    return model


def logprobs(model, tokens):
    logits = model(input_ids=torch.tensor([tokens])).logits[0, :-1]
    return torch.log_softmax(logits, -1).gather(1, torch.tensor(tokens[1:]).unsqueeze(1)).squeeze(1)


def loss_of(model, batch):
    pairs = zip(batch["sequences"], batch["weights"], strict=True)
    return sum(-(logprobs(model, tokens) * torch.tensor(weight[1:], dtype=torch.float64)).sum() for tokens, weight in pairs)


def make_batch():
    generator = torch.Generator().manual_seed(13)
    common = torch.randint(0, VOCABULARY, (6,), generator=generator).tolist()
    sequences = [common + torch.randint(0, VOCABULARY, (length,), generator=generator).tolist() for length in (3, 9, 14)]
    weights = [[0.0] * 6 + (torch.rand(len(s) - 6, generator=generator) * 0.2).tolist() for s in sequences]
    return dict(sequences=sequences, weights=weights)


def adapter_tensors(model, pick):
    """Under the names of the file, which leave out that of the adapter."""
    pairs = [(name, pick(p)) for name, p in model.named_parameters() if "lora_" in name]
    return {name.replace(".default.", "."): value.detach().float().contiguous() for name, value in pairs}


def make_case(name, batch):
    folder = FIXTURES / "lora" / name
    model = make_adapter(CASES[name])
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "../../losses/model"
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")

    merged = peft.PeftModel.from_pretrained(load_base(), folder).merge_and_unload().state_dict()
    plain = load_base().state_dict()
    changed = {k: v.contiguous() for k, v in merged.items() if not torch.equal(v, plain[k])}
    safetensors.torch.save_file(changed, folder / "merged.safetensors")

    model = use_exact_norms(peft.PeftModel.from_pretrained(load_base(), folder, is_trainable=True).double()).eval()
    with torch.no_grad():
        rows = [logprobs(model, tokens).tolist() for tokens in batch["sequences"]]
        with model.disable_adapter():
            base = [logprobs(model, tokens).tolist() for tokens in batch["sequences"]]
    loss = loss_of(model, batch)
    loss.backward()
    safetensors.torch.save_file(adapter_tensors(model, lambda p: p.grad), folder / "gradients.safetensors")
    losses = train(model, batch)
    safetensors.torch.save_file(adapter_tensors(model, lambda p: p), folder / "trained.safetensors")
    golden = dict(
        versions=dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__),
        **batch, logprobs=rows, base=base, loss=loss.item(), steps=dict(count=STEPS, losses=losses, **SETTINGS),
    )
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")


def train(model, batch):
    parameters = [p for name, p in model.named_parameters() if "lora_" in name]
    optimizer = torch.optim.AdamW(parameters, **SETTINGS)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def verify(base, adapter, merged):
    """Logits of PEFT on base + adapter against those that the engine wrote, and of transformers on the merged folder."""
    asked = json.loads((pathlib.Path(adapter) / "answers.json").read_text())
    load = lambda folder: transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    for what, model in (
        ("adapter", peft.PeftModel.from_pretrained(load(base), adapter)),
        ("merged", load(merged)),
    ):
        with torch.no_grad():
            rows = [logprobs(model.eval(), tokens) for tokens in asked["sequences"]]
        worst = max(
            (row - torch.tensor(expected)).abs().max().item()
            for row, expected in zip(rows, asked["logprobs"], strict=True)
        )
        print(f"{what}: largest difference of a log-probability {worst:.2e}")
        assert worst < 1e-4


def main():
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["--verify"]:
        return verify(*sys.argv[2:5])
    batch = make_batch()
    for name in CASES:
        make_case(name, batch)


main()
