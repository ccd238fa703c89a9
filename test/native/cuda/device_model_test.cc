// Whole models on the CUDA backend against the CPU's; the large ones only on a device.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "backend/cuda/loader.h"
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

#if !WINNOW_EMULATE_CUDA
struct LargeShape {
  const char* name;
  int64_t width, feed_forward;
  int layers, heads, kv_heads, head_dim;
};

ModelConfig large_config(const LargeShape& shape) {
  ModelConfig config;
  config.vocabulary = 151936;
  config.width = shape.width;
  config.feed_forward = shape.feed_forward;
  config.layers = shape.layers;
  config.heads = shape.heads;
  config.kv_heads = shape.kv_heads;
  config.head_dim = shape.head_dim;
  config.max_positions = 4096;
  config.qkv_bias = config.tied_head = true;
  config.rope_theta = 1e6;
  return config;
}

// A step of supervised training and sixteen sampled completions; the memory that the arena took is the
// plan's.
void check_large(const LargeShape& shape) {
  const Ops& ops = device_ops();
  const auto held = [] {
    cuda::OpenDevice& open = cuda::open_device(0);
    return static_cast<double>(open.table->held_bytes(open.device));
  };
  const double before = held();
  const ModelConfig config = large_config(shape);
  ThreadPool pool(8);
  Context context{pool};
  Model model(context, ops, config, DType::kBF16);
  model.initialise(3, 0.02f);
  model.enable_training();
  Random random(shape.name);
  TokenLists sequences;
  for (int i = 0; i < 4; ++i) sequences.add(random_tokens(random, 256, config.vocabulary));
  LossOptions options = supervised();
  options.max_batch_tokens = 1024;
  const LossResult loss = accumulate(model, sequences, {unit_weights(sequences), {}, {}, {}}, options);
  EXPECT(std::isfinite(loss.sums.loss), loss.sums.loss);
  const double used = held() - before;
  const PlanOptions sizes{.max_batch_tokens = options.max_batch_tokens,
                          .head_chunk_rows = options.head_chunk_rows};
  const auto planned = static_cast<double>(plan_training(config, DType::kBF16, sizes).total());
  std::printf("%s: %.0f MiB held, %.0f MiB planned\n", shape.name, used / 0x1p20, planned / 0x1p20);
  EXPECT(std::fabs(used - planned) <= 0.02 * planned, shape.name, ": held ", used, ", planned ", planned);
  UpdateOptions update;
  update.adamw.learning_rate = 1e-5f;
  EXPECT(!apply_gradients(model, update).skipped, "finite gradients");
  SamplingOptions sampling;
  sampling.max_tokens = 32;
  sampling.completions_per_prompt = 16;
  TokenLists prompt;
  prompt.add(random_tokens(random, 64, config.vocabulary));
  EXPECT(generate(model, prompt, sampling).sequences.size() == 16, "sixteen completions");
}

TEST("cuda/large/a model of the shape of Qwen2.5-0.5B trains and samples") {
  check_large({"Qwen2.5-0.5B", 896, 4864, 24, 14, 2, 64});
}

TEST("cuda/large/a model of the shape of Qwen2.5-3B trains and samples") {
  check_large({"Qwen2.5-3B", 2048, 11008, 36, 16, 2, 128});
}
#endif

}  // namespace
}  // namespace winnow::test
