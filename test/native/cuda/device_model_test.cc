// Whole models on the CUDA backend against the CPU's.
#include <cmath>

#include "model/trainer_fixture.h"

namespace winnow::test {
namespace {

const Ops& device_ops() {
  try {
    return cuda_ops();
  } catch (const Error& error) {
    skip(std::string("no CUDA device: ") + error.what());
  }
}

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
  const Ops& ops = device_ops();
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

// Losses of twenty steps of AdamW.
std::vector<double> train(TinyModel& tiny) {
  tiny.model.enable_training();
  std::vector<double> losses;
  for (int step = 1; step <= 20; ++step) {
    losses.push_back(
        accumulate(tiny.model, kSequences, {unit_weights(kSequences), {}, {}, {}}, supervised()).sums.loss);
    UpdateOptions options;
    options.adamw.learning_rate = 1e-2f;
    options.adamw.step = step;
    apply_gradients(tiny.model, options);
  }
  return losses;
}

TEST("cuda/model/twenty steps follow the CPU's, and are the same bits twice") {
  const Ops& ops = device_ops();
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

}  // namespace
}  // namespace winnow::test
