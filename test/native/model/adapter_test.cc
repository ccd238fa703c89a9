// Adapters: what they add, what they leave alone, and dropout.
#include "adapter_fixture.h"
#include "io/safetensors.h"

namespace winnow::test {
namespace {

TEST("model/adapter/a new one changes no log-probability, and one that is off neither") {
  TinyModel bare(cpu_ops(), "qwen2");
  const std::vector<float> before = score(bare.model, kSequences);
  TinyModel tiny(cpu_ops(), "qwen2");
  tiny.model.add_adapter(adapter_config(), 3);
  EXPECT(same_bits(score(tiny.model, kSequences), before), "B is 0");
  fill_b(tiny.model);
  EXPECT(!same_bits(score(tiny.model, kSequences), before), "B is not 0");
  EXPECT(same_bits(score(tiny.model, kSequences, {.adapter = false}), before), "off");
  CancelToken cancel;
  cancel.cancel();
  const std::vector<float> on = score(tiny.model, kSequences);
  expect_error("ERR_ABORTED", [&] {
    winnow::score(tiny.model, kSequences.tokens, kSequences.offsets, {.adapter = false}, cancel, nullptr);
  });
  EXPECT(same_bits(score(tiny.model, kSequences), on), "on again after an abort");
}

TEST("model/adapter/trains alone, and leaves the weights as they are") {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    AdaptedModel tiny(cpu_ops(), "llama", adapter_config(), dtype);
    const std::vector<float> base = score(tiny.model, kSequences, {.adapter = false});
    const std::vector<float> before = score(tiny.model, kSequences);
    tiny.model.enable_training();
    int64_t trained = 0;
    for (const Parameter& parameter : tiny.model.parameters()) {
      const bool adapts = parameter.spec.name.find("lora_") != std::string::npos;
      EXPECT(static_cast<bool>(parameter.gradient) == adapts, parameter.spec.name);
      EXPECT(static_cast<bool>(parameter.moment1) == adapts, parameter.spec.name);
      trained += adapts;
    }
    // q, v, o and down in both layers, gate in the first.
    EXPECT(trained == 2 * (2 * 4 + 1), trained);
    const double loss = accumulate_all(tiny.model, kSequences, supervised()).sums.loss;
    UpdateOptions update;
    update.adamw.learning_rate = 1e-2f;
    EXPECT(apply_gradients(tiny.model, update).gradient_norm > 0, "there is a gradient");
    EXPECT(!same_bits(score(tiny.model, kSequences), before), "the policy moved");
    EXPECT(accumulate_all(tiny.model, kSequences, supervised()).sums.loss < loss, "and improved");
    EXPECT(same_bits(score(tiny.model, kSequences, {.adapter = false}), base), "the weights did not");
  }
}

TEST("model/adapter/a value head trains beside it, and nothing else") {
  AdaptedModel tiny(cpu_ops(), "qwen2+value");
  tiny.model.enable_training();
  for (const Parameter& parameter : tiny.model.parameters()) {
    const bool trains =
        parameter.spec.name.find("lora_") != std::string::npos || parameter.spec.name == "score.weight";
    EXPECT(static_cast<bool>(parameter.gradient) == trains, parameter.spec.name);
  }
  LossOptions options;
  options.kind = LossKind::kValue;
  LossInputs inputs;
  const std::vector<float> slope = unit_weights(kSequences);
  inputs.value_gradient = slope;
  accumulate(tiny.model, kSequences, inputs, options);
  UpdateOptions update;
  update.adamw.learning_rate = 1e-2f;
  const std::vector<float> before = read(tiny.model, tiny.model.parameter("score.weight").source);
  EXPECT(apply_gradients(tiny.model, update).gradient_norm > 0, "there is a gradient");
  EXPECT(!same_bits(read(tiny.model, tiny.model.parameter("score.weight").source), before), "the head moved");
}

// One completion and its prompt, with the activations of their sampling kept.
TokenLists sample_and_keep(Model& model) {
  SamplingOptions sampling;
  sampling.max_tokens = 9;
  GenerateLimits limits;
  limits.max_activation_bytes = 1 << 24;
  const TokenLists prompts(Lists{{1, 2, 3, 4, 5}});
  const auto sampled = generate(model, prompts, sampling, limits).sequences[0];
  std::vector<int32_t> tokens = prompts.tokens;
  tokens.insert(tokens.end(), sampled.tokens.begin(), sampled.tokens.end());
  return TokenLists(Lists{tokens});
}

TEST("model/adapter/a score without it keeps what the sampler left for the gradient") {
  AdaptedModel kept(cpu_ops(), "qwen3"), own(cpu_ops(), "qwen3");
  kept.model.enable_training();
  own.model.enable_training();
  const TokenLists whole = sample_and_keep(kept.model);
  score(kept.model, whole, {.adapter = false});
  const LossResult result = accumulate_all(kept.model, whole, supervised());
  EXPECT(result.cached_tokens == result.forest_tokens, "all activations were there");
  EXPECT(accumulate_all(own.model, whole, supervised()).cached_tokens == 0, "none here");
  const Gradients a = take_gradients(kept.model), b = take_gradients(own.model);
  EXPECT(std::equal(a.begin(), a.end(), b.begin(), same_bits), "the same gradient");
}

TEST("model/adapter/with dropout nothing of the sampler is part of the gradient") {
  AdaptedModel tiny(cpu_ops(), "qwen3", adapter_config(0.5f));
  tiny.model.enable_training();
  const TokenLists whole = sample_and_keep(tiny.model);
  const LossResult result = accumulate_all(tiny.model, whole, supervised_with(1));
  EXPECT(result.cached_tokens == 0, "a pass of its own");
  EXPECT(!same_bits(result.logprobs, score(tiny.model, whole)), "which drops");
}

TEST("model/adapter/keys of prompts are forgotten when an adapter comes") {
  TemporaryFile file("winnow-coming-adapter");
  SamplingOptions sampling;
  sampling.max_tokens = 12;
  GenerateLimits limits;
  limits.max_prefix_bytes = 1 << 24;
  Random random("prompt");
  const TokenLists prompts(Lists{random_tokens(random, 40, 37)});
  AdaptedModel fresh(cpu_ops(), "qwen2");
  fresh.model.save_adapter(file.path);
  TinyModel tiny(cpu_ops(), "qwen2");
  generate(tiny.model, prompts, sampling, limits);
  EXPECT(generate(tiny.model, prompts, sampling, limits).statistics.known_prompt_tokens > 0,
         "keys were kept");
  tiny.model.add_adapter(adapter_config(), SafetensorsReader({file.path}));
  const auto one = generate(tiny.model, prompts, sampling, limits).sequences[0];
  const auto other = generate(fresh.model, prompts, sampling, limits).sequences[0];
  EXPECT(one.tokens == other.tokens && same_bits(one.logprobs, other.logprobs), "the same completion");
}

TEST("model/adapter/dropout depends on the path, the seed and nothing else") {
  AdaptedModel tiny(cpu_ops(), "qwen2", adapter_config(0.3f)),
      threaded(cpu_ops(), "qwen2", adapter_config(0.3f), DType::kF32, 2);
  tiny.model.enable_training();
  threaded.model.enable_training();
  const LossResult one = accumulate_all(tiny.model, kSequences, supervised_with(1));
  const Gradients gradients = take_gradients(tiny.model);
  EXPECT(!same_bits(one.logprobs, score(tiny.model, kSequences)), "the sampler drops nothing");
  EXPECT(!same_bits(one.logprobs, accumulate_all(tiny.model, kSequences, supervised_with(2)).logprobs),
         "another seed");
  take_gradients(tiny.model);
  LossOptions recomputed = supervised_with(1);
  recomputed.recompute = Recompute::kLayer;
  EXPECT(same_bits(accumulate_all(tiny.model, kSequences, recomputed).logprobs, one.logprobs), "recomputed");
  const Gradients again = take_gradients(tiny.model);
  EXPECT(std::equal(again.begin(), again.end(), gradients.begin(), same_bits),
         "gradient of layers computed again");
  const LossResult split = accumulate_all(tiny.model, kSequences, supervised_with(1, 5));
  EXPECT(same_bits(split.logprobs, one.logprobs), "in small batches");
  EXPECT(largest_difference(take_gradients(tiny.model), gradients) < 1e-5, "its gradient");
  EXPECT(same_bits(accumulate_all(threaded.model, kSequences, supervised_with(1)).logprobs, one.logprobs),
         "two threads");
  const Gradients on_two = take_gradients(threaded.model);
  EXPECT(std::equal(on_two.begin(), on_two.end(), gradients.begin(), same_bits), "gradient on two threads");
  for (size_t s = 0; s < kSequences.count(); ++s) {
    const auto begin = kSequences.offsets[s], end = kSequences.offsets[s + 1];
    const TokenLists alone(Lists{{kSequences.tokens.begin() + begin, kSequences.tokens.begin() + end}});
    const LossResult result = accumulate_all(tiny.model, alone, supervised_with(1));
    EXPECT(same_bits(result.logprobs, {one.logprobs.begin() + begin, one.logprobs.begin() + end}),
           "sequence ", s, " alone");
  }
}

}  // namespace
}  // namespace winnow::test
