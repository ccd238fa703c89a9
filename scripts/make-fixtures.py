"""Makes test/fixtures/models: tiny random decoders in the Hugging Face layout, with golden answers.

Run by hand when a golden must change; neither the build nor the tests need Python:

    python scripts/make-fixtures.py [NAME ...]
    python scripts/make-fixtures.py --hidden          hidden.json alone, of the models that are there
    python scripts/make-fixtures.py --real FOLDER     goldens for the models of the development data

Made with python 3.11, torch 2.13.0, transformers 5.18.0, safetensors 0.8.0, numpy 2.4.6, on a CPU with one thread.
`golden.json` beside each model records the versions that made it.

For each model the folder holds
  config.json, generation_config.json, model*.safetensors   what a user would have (layout of transformers 4 or 5)
  golden.json            sequences; log p(token i | tokens before i) by transformers in f64, f32 and bf16;
                         greedy continuations in f32; loss weights
  hidden.json            for each sequence the mean over its tokens of last_hidden_state, by transformers in f64
  gradients.safetensors  gradient of loss = sum_i weight_i * -logp_i for every tensor, computed in f64, stored as f32
"""

import json
import pathlib
import shutil
import sys

import numpy
import safetensors
import safetensors.torch
import torch
import transformers
from exact_arithmetic import use_exact_norms
from fixture_models import MODELS

ROOT = pathlib.Path(__file__).resolve().parent.parent / "test" / "fixtures" / "models"
NEW_TOKENS = 24
# The smallest difference between the two largest log-probabilities that a greedy golden may rest on.
GREEDY_MARGIN = 2e-3


def make_model(spec):
    """A float64 model whose weights are exactly representable in spec['dtype']."""
    config = spec["config"]
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").double().eval()
    generator = torch.Generator().manual_seed(spec["seed"])
    stored = getattr(torch, spec["dtype"])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            normal = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            if name.endswith("norm.weight") or "layernorm" in name:
                value = 1 + 0.3 * normal
            elif parameter.dim() == 1:
                value = 0.3 * normal  # biases: never zero, so that one left out shows
            elif "embed_tokens" in name:
                value = 0.35 * normal
            else:
                value = 1.2 * normal / parameter.shape[1] ** 0.5
            parameter.copy_(value.to(torch.float32).to(stored).double())
    model.tie_weights()
    return model


def load(folder, dtype):
    """float64 is the truth: no float32 inside except the rotary angles, which transformers defines in float32."""
    exact = dtype == torch.float64
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="exact" if exact else "eager"
    ).eval()
    return use_exact_norms(model) if exact else model


def config_json(spec, saved):
    """The config as transformers 5 saves it, or rewritten to the names of transformers 4."""
    config = dict(saved)
    config.pop("transformers_version", None)
    config.pop("dtype", None)
    if spec["layout"] == 5:
        return {**config, "dtype": spec["dtype"], "transformers_version": "5.18.0"}
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    if kind == "linear":
        config["rope_scaling"] = {"type": kind, **rope}  # the older spelling of the key
    else:
        config["rope_scaling"] = None if kind == "default" else {"rope_type": kind, **rope}
    config.pop("layer_types", None)
    return {**config, "torch_dtype": spec["dtype"], "transformers_version": "4.51.3"}


def save_model(spec, model, folder):
    stored = getattr(torch, spec["dtype"])
    shard = spec.get("shard_bytes", 10**9)
    model.to(stored).save_pretrained(folder, max_shard_size=shard)
    saved = json.loads((folder / "config.json").read_text())
    eos = spec["config"].eos_token_id
    write_json(folder / "config.json", config_json(spec, saved))
    write_json(folder / "generation_config.json", dict(bos_token_id=spec["config"].bos_token_id, eos_token_id=eos))


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def make_sequences(vocabulary, seed):
    """Odd lengths, one of a single token, one longer than two blocks of keys, and shared prefixes."""
    random = numpy.random.default_rng(seed)
    draw = lambda count: random.integers(0, vocabulary, count).tolist()
    prompt = draw(21)
    return [draw(1), draw(2), prompt + draw(12), prompt + draw(1), draw(7), prompt[:9] + draw(61), draw(133)]


def log_probabilities(model, sequence):
    """log p(token i | tokens before i) for i >= 1; logits are taken to at least f32 first."""
    logits = model(torch.tensor([sequence]), use_cache=False).logits[0]
    logits = logits if logits.dtype == torch.float64 else logits.float()
    rows = torch.log_softmax(logits[:-1], dim=-1)
    return rows.gather(1, torch.tensor(sequence[1:]).reshape(-1, 1))[:, 0]


def greedy(model, prompt):
    """Argmax continuation without a cache and without stop tokens, and the smallest margin on the way."""
    tokens, margin = list(prompt), float("inf")
    for _ in range(NEW_TOKENS):
        logits = model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
        best, second = torch.topk(torch.log_softmax(logits, -1), 2).values.tolist()
        margin = min(margin, best - second)
        tokens.append(int(logits.argmax()))
    return tokens[len(prompt):], margin


def greedy_goldens(model, vocabulary, seed):
    """Four prompts whose argmax is never a near tie, so that rounding cannot change the answer."""
    random = numpy.random.default_rng(seed)
    found = []
    while len(found) < 4:
        prompt = random.integers(0, vocabulary, [1, 5, 18, 40][len(found)]).tolist()
        continuation, margin = greedy(model, prompt)
        if margin > GREEDY_MARGIN:
            found.append(dict(prompt=prompt, continuation=continuation, margin=margin))
    return found


def gradients(model, sequences, weights):
    model.zero_grad(set_to_none=True)
    loss = 0.0
    for sequence, weight in zip(sequences, weights):
        if len(sequence) > 1:
            logp = log_probabilities(model, sequence)
            loss = loss - (torch.tensor(weight[1:], dtype=logp.dtype) * logp).sum()
    loss.backward()
    return float(loss.detach()), {name: parameter.grad.double() for name, parameter in model.named_parameters()}


def relative(found, truth):
    return float((found - truth).norm() / truth.norm())


def make_golden(spec, folder):
    vocabulary = spec["config"].vocab_size
    sequences = make_sequences(vocabulary, spec["seed"])
    random = numpy.random.default_rng(spec["seed"] + 100)
    # A quarter of the tokens carry no loss; the first token of a sequence never does.
    weights = [
        [0.0] + [float(numpy.float32(w)) if w > 0 else 0.0 for w in random.uniform(-0.5, 1.5, len(s) - 1)]
        for s in sequences
    ]
    golden = dict(
        madeWith=dict(
            torch=torch.__version__, transformers=transformers.__version__, safetensors=safetensors.__version__
        ),
        sequences=sequences,
        weights=weights,
    )
    losses, truth = {}, {}
    for label, dtype in [("f64", torch.float64), ("f32", torch.float32), ("bf16", torch.bfloat16)]:
        model = load(folder, dtype)
        with torch.no_grad():
            rows = [log_probabilities(model, s).tolist() for s in sequences]
            golden[f"logprobs_{label}"] = [[float(f"{v:.9g}") for v in row] for row in rows]
            if label == "f32":
                golden["greedy"] = greedy_goldens(model, vocabulary, spec["seed"] + 200)
        losses[label], grads = gradients(model, sequences, weights)
        if label == "f64":
            truth = grads
        else:
            # How far transformers itself is from the truth: |g - g64| / |g64| of each tensor.
            golden[f"gradientDistance_{label}"] = {n: float(f"{relative(g, truth[n]):.3g}") for n, g in grads.items()}
    golden["loss"] = losses
    safetensors.torch.save_file(
        {name: value.float().contiguous() for name, value in truth.items()}, folder / "gradients.safetensors"
    )
    for file in folder.iterdir():
        file.chmod(0o644)
    (folder / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    flat = lambda key: numpy.concatenate([numpy.array(x) for x in golden[key]])
    return dict(
        spread=float(flat("logprobs_f64").std()),
        f32=float(abs(flat("logprobs_f32") - flat("logprobs_f64")).max()),
        bf16=float(abs(flat("logprobs_bf16") - flat("logprobs_f64")).mean()),
        gradient_f32=max(golden["gradientDistance_f32"].values()),
    )


def make_hidden(folder):
    """The model without its head gives last_hidden_state: the final norm's output."""
    model = load(folder, torch.float64).model
    sequences = json.loads((folder / "golden.json").read_text())["sequences"]
    with torch.no_grad():
        means = [model(torch.tensor([s]), use_cache=False).last_hidden_state[0].mean(0).tolist() for s in sequences]
    rows = [[float(f"{v:.9g}") for v in mean] for mean in means]
    (folder / "hidden.json").write_text(json.dumps(dict(mean_f64=rows), separators=(",", ":")) + "\n")


def make_real_goldens(source):
    """Goldens in test/fixtures/real-models.json for public weights that are read in place, never copied here."""
    goldens = {}
    for folder in sorted(pathlib.Path(source).glob("*-bf16")):
        vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
        sequences = make_sequences(vocabulary, 7)[2:6]
        model = load(folder, torch.float64)
        with torch.no_grad():
            rows = [[float(f"{v:.9g}") for v in log_probabilities(model, s).tolist()] for s in sequences]
        goldens[folder.name] = dict(sequences=sequences, logprobs_f64=rows)
    (ROOT.parent / "real-models.json").write_text(json.dumps(goldens, separators=(",", ":")) + "\n")


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if sys.argv[1:2] == ["--real"]:
        return make_real_goldens(sys.argv[2])
    if sys.argv[1:2] == ["--hidden"]:
        return [make_hidden(ROOT / spec["name"]) for spec in MODELS]
    only = set(sys.argv[1:])
    for spec in MODELS:
        if only and spec["name"] not in only:
            continue
        folder = ROOT / spec["name"]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_model(spec, make_model(spec), folder)
        distances = make_golden(spec, folder)
        make_hidden(folder)
        size = sum(f.stat().st_size for f in folder.iterdir())
        print(spec["name"], f"{size / 1024:.0f} KiB", {k: f"{v:.2g}" for k, v in distances.items()})


if __name__ == "__main__":
    main()
