"""TRL's GRPOTrainer: GRPO steps for one prompt with G completions of exactly R tokens.

All completions are sampled together, and `completionsPerPass` of them (all, unless given) go through a backward pass
at once; their gradients are summed. One update per batch, no KL term, temperature 1 over the whole vocabulary,
constant learning rate, no gradient checkpointing, no vLLM. The end token cannot be sampled, so there is no padding.
The reward costs nothing.
"""

import sys
import tempfile
import time

from decoder import load_decoder


def word_tokenizer(vocabulary):
    """Token i is the word `wi`: GRPOTrainer takes prompts as text, and so gets exactly the tokens asked for."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"w{i}": i for i in range(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    last = vocabulary - 1
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=f"w{last}", pad_token=f"w{last - 1}")


def measure_grpo(request):
    import torch
    import transformers
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    model = load_decoder(request, training=True)
    end = model.config.vocab_size - 1
    for config in (model.config, model.generation_config):
        config.bos_token_id, config.eos_token_id, config.pad_token_id = None, end, end - 1
    tokenizer = word_tokenizer(model.config.vocab_size)
    prompt = " ".join(f"w{token}" for token in request["prompt"])
    assert tokenizer(prompt)["input_ids"] == request["prompt"]
    group, completion, steps = request["group"], request["completion"], request["steps"]
    at_once = request.get("completionsPerPass", group)
    lengths, seconds = [], []

    def reward(completion_ids, prompt_ids=None, **_):
        lengths.extend(len(ids) for ids in completion_ids)
        return [float(sum(ids) % 7) for ids in completion_ids]  # not constant, so that advantages are not zero

    class Clock(transformers.TrainerCallback):
        def on_step_begin(self, *_, **__):
            self.started = time.perf_counter()

        def on_step_end(self, *_, **__):
            seconds.append(time.perf_counter() - self.started)
            print(f"step {len(seconds)}: {seconds[-1]:.2f} s", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as output:
        GRPOTrainer(
            model=model,
            processing_class=tokenizer,
            reward_funcs=reward,
            train_dataset=Dataset.from_dict({"prompt": [prompt] * steps}),
            callbacks=[Clock()],
            args=GRPOConfig(
                output_dir=output, per_device_train_batch_size=at_once, num_generations=group,
                gradient_accumulation_steps=group // at_once, max_steps=steps, max_completion_length=completion,
                learning_rate=request.get("learningRate", 1e-6), lr_scheduler_type="constant", optim="adamw_torch_fused",
                beta=0.0, temperature=1.0, top_k=0, top_p=1.0,
                generation_kwargs=dict(suppress_tokens=[end, end - 1], min_new_tokens=completion),
                bf16=False, gradient_checkpointing=False, use_cpu=True, use_vllm=False, report_to="none",
                save_strategy="no", logging_strategy="no", disable_tqdm=True, dataloader_num_workers=0, seed=0,
            ),
        ).train()
    assert len(lengths) == group * steps and set(lengths) == {completion}, f"completions of {sorted(set(lengths))} tokens"
    return dict(seconds=seconds, completions=len(lengths), completionTokens=sum(lengths))
