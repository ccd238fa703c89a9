"""Shows that transformers loads a model folder that Winnow saved, and that both give the same log-probabilities.

    python scripts/verify-with-transformers.py FOLDER SCORES.jsonl

SCORES.jsonl holds the lines of `winnow score` ({"logprobs": [null, ...]}) joined with their {"tokens": [...]}; make both with

    node scripts/save-for-transformers.mjs MODEL FOLDER SCORES.jsonl
"""

import json
import pathlib
import sys

import torch
import transformers


def main():
    folder, scores = sys.argv[1:3]
    transformers.utils.logging.disable_progress_bar()
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    print("missing", sorted(info["missing_keys"]), "unexpected", sorted(info["unexpected_keys"]))
    worst = 0.0
    for line in pathlib.Path(scores).read_text().splitlines():
        record = json.loads(line)
        tokens, ours = record["tokens"], record["logprobs"]
        if len(tokens) < 2:
            continue
        with torch.no_grad():
            rows = torch.log_softmax(model.eval()(torch.tensor([tokens])).logits[0, :-1].float(), -1)
        theirs = rows.gather(1, torch.tensor(tokens[1:]).reshape(-1, 1))[:, 0]
        worst = max(worst, float((theirs - torch.tensor(ours[1:])).abs().max()))
    print(f"{folder}: largest difference {worst:.3g}")
    loads_cleanly = not info["missing_keys"] and not info["unexpected_keys"]
    sys.exit(0 if loads_cleanly and worst < 2e-5 else 1)


if __name__ == "__main__":
    main()
