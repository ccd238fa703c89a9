// The gradient from activations that the sampler kept is the gradient computed anew, bit for bit.
#include "model/activation_cache.h"

#include "model/workspace.h"
#include "tiny_model.h"

namespace winnow::test {
namespace {

constexpr float kTemperature = 0.7f;
constexpr int64_t kPlenty = 1 << 26;

// Sampled sequences, ready for the policy's loss.
struct Rollouts {
  TokenLists prompts, sequences;
  std::vector<float> weight, advantage;
};

SamplingOptions sampling_options() {
  SamplingOptions options;
  options.max_tokens = 15;
  options.temperature = kTemperature;
  options.completions_per_prompt = 3;
  options.seed = 4;
  options.stop_tokens = {5, 6};
  return options;
}

// Prompts that share a beginning inside a block of keys, one of them the beginning of the others.
Rollouts sample(Model& model, SamplingOptions options, GenerateLimits limits) {
  Random random("cached prompts");
  const int64_t vocabulary = model.config().vocabulary;
  const auto common = random_tokens(random, 21, vocabulary);
  Rollouts result;
  for (const int own : {6, 0, 13}) {
    auto prompt = common;
    const auto more = random_tokens(random, own, vocabulary);
    prompt.insert(prompt.end(), more.begin(), more.end());
    result.prompts.add(prompt);
  }
  const auto completions = generate(model, result.prompts, options, limits).sequences;
  for (size_t i = 0; i < completions.size(); ++i) {
    const size_t prompt = i / static_cast<size_t>(options.completions_per_prompt);
    const auto begin = result.prompts.tokens.begin();
    std::vector<int32_t> tokens(begin + result.prompts.offsets[prompt],
                                begin + result.prompts.offsets[prompt + 1]);
    result.weight.insert(result.weight.end(), tokens.size(), 0.0f);
    tokens.insert(tokens.end(), completions[i].tokens.begin(), completions[i].tokens.end());
    for (size_t t = 0; t < completions[i].tokens.size(); ++t)
      result.weight.push_back(static_cast<float>(random.uniform(0.02, 0.1)));
    result.sequences.add(tokens);
  }
  for (size_t t = 0; t < result.weight.size(); ++t)
    result.advantage.push_back(static_cast<float>(random.uniform(-2, 2)));
  return result;
}

struct Outcome {
  LossResult loss;
  std::vector<std::vector<float>> gradients;
};

Outcome gradients(Model& model, const Rollouts& rollouts, int max_batch_tokens = 1024,
                  Recompute recompute = Recompute::kNone) {
  LossOptions options;
  options.temperature = kTemperature;
  options.max_batch_tokens = max_batch_tokens;
  options.head_chunk_rows = 7;
  options.recompute = recompute;
  LossInputs inputs{rollouts.weight, rollouts.advantage, {}, {}};
  if (model.config().value_head) inputs.value_gradient = rollouts.weight;  // 0 on the prompts too
  Outcome outcome;
  outcome.loss = accumulate(model, rollouts.sequences, inputs, options);
  for (Parameter& parameter : model.parameters())
    outcome.gradients.push_back(read(model, parameter.gradient.view()));
  zero_gradients(model);
  return outcome;
}

bool same(const Outcome& a, const Outcome& b) {
  bool same = same_bits(a.loss.logprobs, b.loss.logprobs) && a.loss.sums.loss == b.loss.sums.loss;
  for (size_t i = 0; i < a.gradients.size(); ++i) same = same && same_bits(a.gradients[i], b.gradients[i]);
  return same;
}

void check_gradients(const Ops& ops, const std::string& architecture, DType dtype) {
  TinyModel tiny(ops, architecture, dtype, 2);
  tiny.model.enable_training();
  ActivationCache& cache = tiny.model.workspace().activation_cache();
  const GenerateLimits limits{.max_batch = 5, .prefill_tokens = 8, .max_activation_bytes = kPlenty};
  const Rollouts rollouts = sample(tiny.model, sampling_options(), limits);
  for (const int max_batch_tokens : {1024, 40}) {
    const Outcome cached = gradients(tiny.model, rollouts, max_batch_tokens);
    EXPECT(cached.loss.cached_tokens == cached.loss.forest_tokens, "every row was kept");
    EXPECT(same(gradients(tiny.model, rollouts, max_batch_tokens), cached), "a second reading");
    const Outcome unused = gradients(tiny.model, rollouts, max_batch_tokens, Recompute::kLayer);
    EXPECT(same(unused, cached) && unused.loss.cached_tokens == unused.loss.forest_tokens,
           "what is kept need not be computed again");
    cache.clear();
    const Outcome computed = gradients(tiny.model, rollouts, max_batch_tokens);
    EXPECT(computed.loss.cached_tokens == 0, "nothing is kept any more");
    const Outcome recomputed = gradients(tiny.model, rollouts, max_batch_tokens, Recompute::kLayer);
    EXPECT(same(recomputed, computed), "layers computed again, ", architecture);
    EXPECT(same(computed, cached), architecture, " at ", max_batch_tokens, " tokens a batch");
    EXPECT(!same(gradients(tiny.model, rollouts, 1064 - max_batch_tokens), cached),
           "another split adds in another order: the comparison can fail");
    sample(tiny.model, sampling_options(), limits);
  }
}

const int registered = [] {
  add_model_tests("model/activation cache/the same gradient", [](const Ops& ops) {
    for (const std::string& architecture : tiny_architectures())
      for (const DType dtype : {DType::kF32, DType::kBF16}) check_gradients(ops, architecture, dtype);
    check_gradients(ops, "qwen3+value", DType::kBF16);
  });
  return 0;
}();

TEST("model/activation cache/is forgotten when the weights change") {
  TinyModel tiny(cpu_ops(), "qwen3");
  tiny.model.enable_training();
  const Rollouts rollouts = sample(tiny.model, sampling_options(), {.max_activation_bytes = kPlenty});
  gradients(tiny.model, rollouts);
  accumulate(tiny.model, rollouts.sequences, {rollouts.weight, rollouts.advantage, {}, {}}, {});
  apply_gradients(tiny.model, {.adamw = {.learning_rate = 0.01f, .step = 1}});
  EXPECT(gradients(tiny.model, rollouts).loss.cached_tokens == 0, "the old activations are of other weights");
}

TEST("model/activation cache/keeps what fits, and what is missing is computed") {
  TinyModel tiny(cpu_ops(), "llama");
  tiny.model.enable_training();
  const Rollouts rollouts = sample(tiny.model, sampling_options(), {});
  const Outcome expected = gradients(tiny.model, rollouts, 60);
  EXPECT(expected.loss.cached_tokens == 0, "nothing is kept unless asked for");
  for (const int64_t rows : {1, 30, 70}) {
    const int64_t bytes = ActivationCache::size_bytes(tiny.model.config(), rows);
    sample(tiny.model, sampling_options(),
           {.max_batch = 3, .prefill_tokens = 16, .max_activation_bytes = bytes});
    EXPECT(tiny.model.workspace().activation_cache().size_bytes() <= bytes, "the limit of ", rows, " rows");
    const Outcome outcome = gradients(tiny.model, rollouts, 60);
    EXPECT(same(outcome, expected), rows, " rows kept");
    EXPECT(outcome.loss.cached_tokens < outcome.loss.forest_tokens, "not everything fits");
  }
}

TEST("model/activation cache/completions that are alike, and sequences that were never sampled") {
  TinyModel tiny(cpu_ops(), "mistral");
  tiny.model.enable_training();
  SamplingOptions greedy = sampling_options();
  greedy.temperature = 0;
  Rollouts rollouts = sample(tiny.model, greedy, {.max_activation_bytes = kPlenty});
  const Outcome cached = gradients(tiny.model, rollouts);
  EXPECT(cached.loss.cached_tokens == cached.loss.forest_tokens, "three equal completions");
  rollouts.sequences.tokens[static_cast<size_t>(rollouts.sequences.offsets[1]) - 3] ^= 1;
  EXPECT(gradients(tiny.model, rollouts).loss.cached_tokens == 0, "another token, another path");
}

}  // namespace
}  // namespace winnow::test
