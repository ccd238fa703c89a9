"""transformers: the loop of an exclusion ranking over many queries at once.

Each query keeps the cache of its last prompt; of the next one only what follows the start that both share is computed.
For the answers the caches of all queries are laid side by side, padded on the left, and one batch is decoded.
"""

import time

from decoder import is_greedy, load_decoder, next_tokens


class Ranking:
    """One query: the candidates that remain, and the cache of its last prompt."""

    def __init__(self, query):
        from transformers import DynamicCache

        self.prefix, self.suffix = query["prefix"], query["suffix"]
        self.candidates = list(query["candidates"])
        self.computed = []
        self.cache = DynamicCache()

    def prompt(self):
        return self.prefix + [token for candidate in self.candidates for token in candidate] + self.suffix

    def exclude(self):
        """The first candidate goes whatever the answer says, so that every engine does the same work."""
        del self.candidates[0]

    def prefill(self, model):
        """Logits [1, 1, vocabulary] after the prompt; gives as well how many of its tokens were computed."""
        import torch

        prompt = self.prompt()
        kept = min(shared_length(self.computed, prompt), len(prompt) - 1)
        if kept < len(self.computed):
            self.cache.crop(kept - len(self.computed))  # a negative number of tokens is taken off the end
        output = model(torch.tensor([prompt[kept:]]), past_key_values=self.cache, use_cache=True, logits_to_keep=1)
        self.computed = prompt
        return output.logits, len(prompt) - kept


def shared_length(left, right):
    for position, (one, other) in enumerate(zip(left, right)):
        if one != other:
            return position
    return min(len(left), len(right))


def side_by_side(rankings):
    """One cache of all queries padded on the left, its attention mask [queries, longest], and the prompts' lengths [queries, 1]."""
    import torch
    from transformers import DynamicCache

    lengths = torch.tensor([[len(ranking.computed)] for ranking in rankings])
    longest = int(lengths.max())
    mask = (torch.arange(longest) >= longest - lengths).long()

    def join(parts):
        return torch.cat([torch.nn.functional.pad(part, (0, 0, longest - part.shape[-2], 0)) for part in parts])

    layers = [
        (join([layer.keys for layer in layers]), join([layer.values for layer in layers]))
        for layers in zip(*(ranking.cache.layers for ranking in rankings))
    ]
    return DynamicCache(layers), mask, lengths


def decode_answers(model, rankings, logits, steps, greedy):
    """`steps` tokens for each query -> [queries, steps]; the last one is sampled and not computed."""
    import torch

    cache, mask, positions = side_by_side(rankings)
    chosen = [next_tokens(logits, greedy)]
    for step in range(steps - 1):
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        output = model(
            chosen[-1], past_key_values=cache, attention_mask=mask, position_ids=positions + step, use_cache=True
        )
        chosen.append(next_tokens(output.logits, greedy))
    return torch.cat(chosen, 1).tolist()


def measure_exclusion(request):
    import torch

    model = load_decoder(request)
    greedy = is_greedy(request)
    rankings = [Ranking(query) for query in request["queries"]]
    answers, prompt_tokens, computed_tokens = [], 0, 0
    with torch.inference_mode():
        started = time.perf_counter()
        while active := [ranking for ranking in rankings if len(ranking.candidates) > 1]:
            logits = []
            for ranking in active:
                last, computed = ranking.prefill(model)
                logits.append(last)
                prompt_tokens += len(ranking.computed)
                computed_tokens += computed
            answers += decode_answers(model, active, torch.cat(logits), request["answerTokens"], greedy)
            for ranking in active:
                ranking.exclude()
        seconds = [time.perf_counter() - started]
    reply = dict(
        seconds=seconds, promptTokens=prompt_tokens, computedTokens=computed_tokens, answers=len(answers),
        sampling="greedy" if greedy else "temperature",
    )
    return dict(reply, answerTokens=answers) if greedy else reply
