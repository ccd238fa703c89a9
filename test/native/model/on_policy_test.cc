// "Exactly on-policy": the log-probability of a token, bit for bit, wherever and with whatever it is
// computed. Every comparison is made once more where it must fail.
#include <cmath>
#include <cstring>

#include "tiny_model.h"

namespace winnow::test {
namespace {

constexpr float kTemperature = 0.7f;

// Prompts that share prefixes inside and at the border of a block of keys; one is the beginning of
// another, two are equal.
TokenLists make_prompts(int64_t vocabulary) {
  Random random("on-policy prompts");
  const auto common = random_tokens(random, 21, vocabulary);
  std::vector<std::vector<int32_t>> prompts;
  for (const auto& [shared, own] : {std::pair(21, 5), {21, 14}, {21, 0}, {16, 2}, {0, 1}, {0, 33}, {21, 5}}) {
    std::vector<int32_t> prompt(common.begin(), common.begin() + shared);
    const auto more = random_tokens(random, own, vocabulary);
    prompt.insert(prompt.end(), more.begin(), more.end());
    prompts.push_back(prompt);
  }
  prompts.back() = prompts.front();
  return TokenLists(prompts);
}

SamplingOptions sampling_options() {
  SamplingOptions options;
  options.max_tokens = 19;
  options.temperature = kTemperature;
  options.completions_per_prompt = 3;
  options.seed = 11;
  options.stop_tokens = {5, 6};
  return options;
}

std::vector<int32_t> list(const TokenLists& lists, size_t index) {
  return {lists.tokens.begin() + lists.offsets[index], lists.tokens.begin() + lists.offsets[index + 1]};
}

void expect_same(const std::vector<GeneratedSequence>& a, const std::vector<GeneratedSequence>& b) {
  EXPECT(a.size() == b.size(), "number of completions");
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT(a[i].tokens == b[i].tokens, "tokens of completion ", i);
    EXPECT(a[i].stop == b[i].stop, "stop of completion ", i);
    EXPECT(same_bits(a[i].logprobs, b[i].logprobs), "log-probabilities of completion ", i);
  }
}

// Prompts and completions as sequences to score; mask 1 on what was sampled.
struct Rollouts {
  TokenLists sequences;
  std::vector<float> sampled_logprobs;  // NaN on the prompts
  std::vector<float> mask;
};

Rollouts rollouts(const TokenLists& prompts, const std::vector<GeneratedSequence>& completions) {
  Rollouts result;
  const size_t each = completions.size() / prompts.count();
  for (size_t i = 0; i < completions.size(); ++i) {
    std::vector<int32_t> sequence = list(prompts, i / each);
    result.sampled_logprobs.insert(result.sampled_logprobs.end(), sequence.size(), std::nanf(""));
    result.mask.insert(result.mask.end(), sequence.size(), 0.0f);
    sequence.insert(sequence.end(), completions[i].tokens.begin(), completions[i].tokens.end());
    result.sampled_logprobs.insert(result.sampled_logprobs.end(), completions[i].logprobs.begin(),
                                   completions[i].logprobs.end());
    result.mask.insert(result.mask.end(), completions[i].tokens.size(), 1.0f);
    result.sequences.add(sequence);
  }
  return result;
}

// Every sampled token's log-probability.
void expect_same_logprobs(const Rollouts& rollouts, const std::vector<float>& logprobs) {
  EXPECT(logprobs.size() == rollouts.mask.size(), "one log-probability a token");
  for (size_t i = 0; i < logprobs.size(); ++i) {
    if (rollouts.mask[i] == 0) continue;
    EXPECT(std::memcmp(&logprobs[i], &rollouts.sampled_logprobs[i], sizeof(float)) == 0, "token ", i, ": ",
           logprobs[i], " was sampled at ", rollouts.sampled_logprobs[i]);
  }
}

// Moves one weight of the first layer by one unit in the last place (of `dtype`, so that it is not
// rounded away).
void nudge_weight(TinyModel& tiny, DType dtype) {
  Parameter& parameter = tiny.model.parameter("model.layers.0.mlp.up_proj.weight");
  std::vector<float> values = read(tiny.model, parameter.value.view());
  float& value = values[3];
  const uint32_t unit = dtype == DType::kBF16 ? 0x10000u : 1u;
  value = std::bit_cast<float>(std::bit_cast<uint32_t>(value) + unit);
  tiny.model.ops().upload(tiny.context, parameter.value.view().data, values.data(),
                          values.size() * sizeof(float));
  tiny.model.pack();
}

void check_sampling(const Ops& ops, const std::string& architecture, DType dtype) {
  TinyModel tiny(ops, architecture, dtype, 1), threaded(ops, architecture, dtype, 2);
  const TokenLists prompts = make_prompts(tiny.model.config().vocabulary);
  const SamplingOptions options = sampling_options();
  const std::vector<uint64_t> keys{3, 1, 4, 15, 9, 2, 6};
  const auto expected = generate(tiny.model, prompts, options, {}, keys).sequences;

  expect_same(generate(threaded.model, prompts, options, {}, keys).sequences, expected);
  expect_same(generate(tiny.model, prompts, options, {.max_batch = 1, .prefill_tokens = 1}, keys).sequences,
              expected);
  expect_same(generate(tiny.model, prompts, options, {.max_batch = 5, .prefill_tokens = 7}, keys).sequences,
              expected);
  const auto block_bytes = static_cast<int64_t>(KeyValueStore::size_bytes(tiny.model.config(), 1));
  expect_same(generate(tiny.model, prompts, options, {.max_kv_bytes = 9 * block_bytes}, keys).sequences,
              expected);

  const size_t each = static_cast<size_t>(options.completions_per_prompt);
  for (size_t p = 0; p < prompts.count(); ++p) {
    const TokenLists alone({list(prompts, p)});
    const auto got = generate(tiny.model, alone, options, {}, {keys[p]}).sequences;
    const auto begin = expected.begin() + static_cast<std::ptrdiff_t>(p * each);
    expect_same(got, {begin, begin + static_cast<std::ptrdiff_t>(each)});
  }
  SamplingOptions other = options;
  other.seed = 12;
  expect_failure("another seed",
                 [&] { expect_same(generate(tiny.model, prompts, other, {}, keys).sequences, expected); });
  nudge_weight(tiny, dtype);
  expect_failure("a weight moved by one unit",
                 [&] { expect_same(generate(tiny.model, prompts, options, {}, keys).sequences, expected); });
}

// One prompt alone (batch of 1) and the same among 32 rows of other prompts.
void check_batch_of_32(const Ops& ops, DType dtype) {
  TinyModel tiny(ops, "qwen2", dtype, 2);
  Random random("batch of 32");
  TokenLists many;
  std::vector<uint64_t> keys;
  for (uint64_t p = 0; p < 32; ++p) {
    many.add(random_tokens(random, random.integer(1, 40), tiny.model.config().vocabulary));
    keys.push_back(p);
  }
  SamplingOptions options = sampling_options();
  options.completions_per_prompt = 1;
  const auto together = generate(tiny.model, many, options, {.max_batch = 32}, keys).sequences;
  for (size_t p = 0; p < many.count(); p += 5) {
    const auto alone = generate(tiny.model, TokenLists({list(many, p)}), options, {}, {keys[p]}).sequences;
    expect_same(alone, {together[p]});
  }
  expect_failure("another prompt's completion", [&] { expect_same({together[0]}, {together[5]}); });
}

void check_scoring(const Ops& ops, const std::string& architecture, DType dtype) {
  TinyModel tiny(ops, architecture, dtype, 1), threaded(ops, architecture, dtype, 2);
  const TokenLists prompts = make_prompts(tiny.model.config().vocabulary);
  const Rollouts sampled = rollouts(prompts, generate(tiny.model, prompts, sampling_options()).sequences);
  const ScoreOptions options{.temperature = kTemperature};
  const std::vector<float> scored = score(tiny.model, sampled.sequences, options);
  expect_same_logprobs(sampled, scored);
  EXPECT(same_bits(score(threaded.model, sampled.sequences, options), scored), "two threads");
  EXPECT(same_bits(score(tiny.model, sampled.sequences, {kTemperature, 40}), scored), "small batches");
  for (size_t s = 0; s < sampled.sequences.count(); ++s) {
    const auto alone = score(tiny.model, TokenLists({list(sampled.sequences, s)}), options);
    const auto begin = scored.begin() + sampled.sequences.offsets[s];
    EXPECT(same_bits(alone, {begin, scored.begin() + sampled.sequences.offsets[s + 1]}), "sequence ", s,
           " alone");
  }
  expect_failure("another temperature", [&] {
    expect_same_logprobs(sampled, score(tiny.model, sampled.sequences, {.temperature = 1}));
  });
  nudge_weight(tiny, dtype);
  expect_failure("a weight moved by one unit",
                 [&] { expect_same_logprobs(sampled, score(tiny.model, sampled.sequences, options)); });
}

void check_training(const Ops& ops, const std::string& architecture, DType dtype) {
  TinyModel tiny(ops, architecture, dtype, 2);
  const TokenLists prompts = make_prompts(tiny.model.config().vocabulary);
  const Rollouts sampled = rollouts(prompts, generate(tiny.model, prompts, sampling_options()).sequences);
  tiny.model.enable_training();
  const std::vector<float> advantage(sampled.mask.size(), 0.5f);
  std::vector<float> old = sampled.sampled_logprobs;
  LossOptions options;
  options.temperature = kTemperature;
  for (const auto& [batch_tokens, chunk_rows] : {std::pair(1024, 64), {60, 7}}) {
    options.max_batch_tokens = batch_tokens;
    options.head_chunk_rows = chunk_rows;
    const LossResult result =
        accumulate(tiny.model, sampled.sequences, {sampled.mask, advantage, old, {}}, options);
    expect_same_logprobs(sampled, result.logprobs);
    EXPECT(result.sums.max_absolute_log_ratio == 0 && result.sums.clipped == 0,
           "the importance ratio is exactly 1");
  }
  UpdateOptions update;
  update.adamw.learning_rate = 1e-3f;
  apply_gradients(tiny.model, update);
  const LossResult after =
      accumulate(tiny.model, sampled.sequences, {sampled.mask, advantage, old, {}}, options);
  expect_failure("after a step", [&] { expect_same_logprobs(sampled, after.logprobs); });
  EXPECT(after.sums.max_absolute_log_ratio > 0, "the ratio has moved");
}

void check_greedy(const Ops& ops, DType dtype) {
  TinyModel tiny(ops, "qwen3", dtype);
  const TokenLists prompts = make_prompts(tiny.model.config().vocabulary);
  SamplingOptions options = sampling_options();
  options.temperature = 0;
  options.completions_per_prompt = 1;
  const Rollouts sampled = rollouts(prompts, generate(tiny.model, prompts, options).sequences);
  expect_same_logprobs(sampled, score(tiny.model, sampled.sequences));
}

const Registration kTests([] {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const std::string format = name(dtype);
    const auto for_all = [=](const std::string& what, void (*check)(const Ops&, const std::string&, DType)) {
      add_model_tests("model/on-policy/" + what + "/" + format, [=](const Ops& ops) {
        for (const std::string& architecture : tiny_architectures()) check(ops, architecture, dtype);
        check(ops, "qwen2+bf16keys", dtype);
      });
    };
    for_all("sampling", check_sampling);
    for_all("scoring", check_scoring);
    for_all("training", check_training);
    add_model_tests("model/on-policy/batch of 32/" + format,
                    [=](const Ops& ops) { check_batch_of_32(ops, dtype); });
    add_model_tests("model/on-policy/greedy/" + format, [=](const Ops& ops) { check_greedy(ops, dtype); });
  }
});

}  // namespace
}  // namespace winnow::test
