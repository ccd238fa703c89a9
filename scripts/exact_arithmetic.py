"""transformers without its detours through float32, so that a decoder in float64 is the truth but for the rotary angles.

Importing this registers the attention implementation "exact".
"""

import torch
import transformers


def exact_attention(module, query, key, value, attention_mask, scaling, **_):
    """Eager attention in the dtype of its input, with the mask it is given; causal without one."""
    key = key.repeat_interleave(module.num_key_value_groups, dim=1)
    value = value.repeat_interleave(module.num_key_value_groups, dim=1)
    scores = query @ key.transpose(2, 3) * scaling
    length = scores.shape[-1]
    if attention_mask is None:
        scores = scores.masked_fill(torch.ones(length, length, dtype=torch.bool).triu(1), float("-inf"))
    else:
        scores = scores + attention_mask[..., :length].to(scores.dtype)
    weights = torch.softmax(scores, dim=-1)
    return (weights @ value).transpose(1, 2).contiguous(), weights


transformers.AttentionInterface.register("exact", exact_attention)


def _exact_norm(module):
    return lambda x: module.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + module.variance_epsilon)


def use_exact_norms(model):
    """RMSNorm in the dtype of its input; transformers' own always passes through float32. Returns the model."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = _exact_norm(module)
    return model
