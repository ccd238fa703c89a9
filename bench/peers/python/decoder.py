"""A model folder as a transformers decoder on PyTorch, ready to be timed, and the sampling that goes with it."""


def load_decoder(request, training=False):
    """The decoder of `request["model"]`: scaled dot product attention, `threads` threads, no gradients unless training."""
    import torch
    import transformers

    torch.set_num_threads(request["threads"])
    torch.manual_seed(request.get("seed", 0))
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        request["model"],
        dtype=torch.bfloat16 if request["dtype"] == "bf16" else torch.float32,
        attn_implementation="sdpa",
    )
    return model.train() if training else model.eval().requires_grad_(False)


def next_tokens(logits, greedy):
    """One token per row of logits [rows, 1, vocabulary] -> [rows, 1], from the whole vocabulary at temperature 1."""
    import torch

    if greedy:
        return logits[:, -1].argmax(-1, keepdim=True)
    return torch.multinomial(torch.softmax(logits[:, -1].float(), -1), 1)


def is_greedy(request):
    return request.get("sampling") == "greedy" or request.get("temperature") == 0
