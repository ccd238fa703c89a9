// Whole models on the CUDA backend against the CPU's.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "model/trainer_fixture.h"

namespace winnow::test {
namespace {

SamplingOptions greedy(int max_tokens) {
  SamplingOptions options;
  options.max_tokens = max_tokens;
  options.temperature = 0;
  return options;
}

void expect_close(const std::vector<float>& got, const std::vector<float>& expected, double limit,
                  const std::string& what) {
  EXPECT(got.size() == expected.size(), what);
  for (size_t i = 0; i < got.size(); ++i) {
    const double a = static_cast<double>(got[i]), b = static_cast<double>(expected[i]);
    if (std::isnan(a) && std::isnan(b)) continue;
    EXPECT(std::fabs(a - b) <= limit, what, ": element ", i, " is ", a, ", the CPU has ", b);
  }
}

TEST("cuda/model/scores and greedy completions are the CPU's") {
  const Ops& ops = require_cuda_ops();
  for (const std::string& architecture : tiny_architectures())
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      TinyModel here(cpu_ops(), architecture, dtype), there(ops, architecture, dtype);
      const std::string what = text(architecture, " ", name(dtype));
      expect_close(score(there.model, kSequences), score(here.model, kSequences),
                   dtype == DType::kF32 ? 1e-4 : 5e-2, what);
      const TokenLists prompt(Lists{{3, 1, 4, 1, 5}, {9, 2, 6}});
      const GenerateResult expected = generate(here.model, prompt, greedy(8));
      const GenerateResult got = generate(there.model, prompt, greedy(8));
      for (size_t i = 0; i < expected.sequences.size(); ++i)
        EXPECT(dtype != DType::kF32 || got.sequences[i].tokens == expected.sequences[i].tokens, what,
               " sequence ", i);
    }
}

TEST("cuda/model/gradients are the CPU's") {
  const Ops& ops = require_cuda_ops();
  for (const std::string& architecture : tiny_architectures())
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      TinyModel here(cpu_ops(), architecture, dtype), there(ops, architecture, dtype);
      for (TinyModel* tiny : {&here, &there}) {
        tiny->model.enable_training();
        accumulate(tiny->model, kSequences, {unit_weights(kSequences), {}, {}, {}}, supervised());
      }
      for (size_t i = 0; i < here.model.parameters().size(); ++i) {
        const Parameter& expected = here.model.parameters()[i];
        const std::vector<float> values = read(here.model, expected.gradient.view());
        double largest = 0;
        for (const float value : values) largest = std::fmax(largest, std::fabs(static_cast<double>(value)));
        expect_close(read(there.model, there.model.parameters()[i].gradient.view()), values,
                     (dtype == DType::kF32 ? 1e-4 : 2e-2) * largest,
                     text(architecture, " ", name(dtype), " gradient of ", expected.spec.name));
      }
    }
}

void update(TinyModel& tiny, int step, float learning_rate) {
  UpdateOptions options;
  options.adamw.learning_rate = learning_rate;
  options.adamw.step = step;
  apply_gradients(tiny.model, options);
}

// Losses of twenty steps of AdamW.
std::vector<double> train(TinyModel& tiny) {
  tiny.model.enable_training();
  std::vector<double> losses;
  for (int step = 1; step <= 20; ++step) {
    losses.push_back(
        accumulate(tiny.model, kSequences, {unit_weights(kSequences), {}, {}, {}}, supervised()).sums.loss);
    update(tiny, step, 1e-2f);
  }
  return losses;
}

TEST("cuda/model/twenty steps follow the CPU's, and are the same bits twice") {
  const Ops& ops = require_cuda_ops();
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    TinyModel here(cpu_ops(), "qwen2", dtype), there(ops, "qwen2", dtype), again(ops, "qwen2", dtype);
    const std::vector<double> expected = train(here), got = train(there);
    EXPECT(expected.back() < 0.7 * expected.front(), "the loss falls on the CPU: ", expected.front(), " to ",
           expected.back());
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT(std::fabs(got[i] - expected[i]) <= (dtype == DType::kF32 ? 1e-3 : 5e-2) * expected[i],
             name(dtype), " step ", i + 1, ": loss ", got[i], ", the CPU has ", expected[i]);
    train(again);
    EXPECT(same_state(state_of(there.model), state_of(again.model)), name(dtype),
           ": two runs, the same bits");
  }
}

// Group-relative policy optimization of a reward that the model can reach: the share of even tokens.
struct PolicyRun {
  std::vector<double> rewards;         // of each step, the mean
  double largest_log_ratio = 0;        // |log p when trained - log p when sampled|
  double mean_absolute_log_ratio = 0;  // of the last step
};

double share_of_even(const std::vector<int32_t>& tokens) {
  const auto even = std::count_if(tokens.begin(), tokens.end(), [](int32_t token) { return token % 2 == 0; });
  return static_cast<double>(even) / static_cast<double>(tokens.size());
}

// (r - mean) / (standard deviation + 1e-4) within a group.
std::vector<double> group_advantages(const std::vector<double>& rewards) {
  double mean = 0, squares = 0;
  for (const double reward : rewards) mean += reward / static_cast<double>(rewards.size());
  for (const double reward : rewards) squares += (reward - mean) * (reward - mean);
  std::vector<double> advantages;
  for (const double reward : rewards)
    advantages.push_back((reward - mean) /
                         (std::sqrt(squares / static_cast<double>(rewards.size() - 1)) + 1e-4));
  return advantages;
}

PolicyRun learn(TinyModel& tiny) {
  constexpr size_t kGroup = 8;
  tiny.model.enable_training();
  const Lists prompts{{3, 1, 4, 1, 5}, {9, 2, 6}};
  PolicyRun run;
  for (int step = 1; step <= 20; ++step) {
    SamplingOptions sampling;
    sampling.max_tokens = 8;
    sampling.completions_per_prompt = kGroup;
    sampling.seed = static_cast<uint64_t>(step);
    const GenerateResult sampled = generate(tiny.model, TokenLists(prompts), sampling);
    TokenLists sequences;
    std::vector<float> weight, advantage, old;
    double mean = 0;
    for (size_t prompt = 0; prompt < prompts.size(); ++prompt) {
      std::vector<double> rewards;
      for (size_t i = 0; i < kGroup; ++i)
        rewards.push_back(share_of_even(sampled.sequences[prompt * kGroup + i].tokens));
      const std::vector<double> advantages = group_advantages(rewards);
      for (size_t i = 0; i < kGroup; ++i) {
        const GeneratedSequence& completion = sampled.sequences[prompt * kGroup + i];
        std::vector<int32_t> sequence = prompts[prompt];
        sequence.insert(sequence.end(), completion.tokens.begin(), completion.tokens.end());
        sequences.add(sequence);
        weight.insert(weight.end(), prompts[prompt].size(), 0.0f);
        weight.insert(weight.end(), completion.tokens.size(), 1.0f / 128);
        old.insert(old.end(), prompts[prompt].size(), 0.0f);
        old.insert(old.end(), completion.logprobs.begin(), completion.logprobs.end());
        advantage.insert(advantage.end(), sequence.size(), static_cast<float>(advantages[i]));
        mean += rewards[i] / static_cast<double>(prompts.size() * kGroup);
      }
    }
    run.rewards.push_back(mean);
    const PolicyLossSums sums = accumulate(tiny.model, sequences, {weight, advantage, old, {}}, {}).sums;
    run.largest_log_ratio = std::fmax(run.largest_log_ratio, sums.max_absolute_log_ratio);
    run.mean_absolute_log_ratio = sums.absolute_log_ratio;
    update(tiny, step, 2e-2f);
  }
  return run;
}

TEST("cuda/model/twenty steps of policy optimization follow the CPU's rewards") {
  const Ops& ops = require_cuda_ops();
  const bool own = std::string(ops.instructions).find("products by own") != std::string::npos;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    TinyModel here(cpu_ops(), "qwen2", dtype), there(ops, "qwen2", dtype);
    const PolicyRun expected = learn(here), got = learn(there);
    double largest = 0;
    for (size_t i = 0; i < got.rewards.size(); ++i)
      largest = std::fmax(largest, std::fabs(got.rewards[i] - expected.rewards[i]));
    std::printf(
        "{\"name\": \"grpo %s\", \"first_reward\": %.3f, \"last_reward\": %.3f, \"cpu_last_reward\": %.3f, "
        "\"largest_difference\": %.3f, \"largest_log_ratio\": %.2e, \"mean_log_ratio\": %.2e}\n",
        name(dtype), got.rewards.front(), got.rewards.back(), expected.rewards.back(), largest,
        got.largest_log_ratio, got.mean_absolute_log_ratio);
    EXPECT(expected.rewards.back() > expected.rewards.front() + 0.2,
           "the CPU learns: ", expected.rewards.front(), " to ", expected.rewards.back());
    EXPECT(largest <= (dtype == DType::kF32 ? 0.1 : 0.2), name(dtype), ": rewards differ by ", largest);
    EXPECT(got.largest_log_ratio <= (own || dtype == DType::kF32 ? 0 : 0.1), name(dtype),
           ": sampler and trainer differ by ", got.largest_log_ratio);
  }
}

}  // namespace
}  // namespace winnow::test
