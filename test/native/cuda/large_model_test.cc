// Models of the shapes of Qwen2.5-0.5B and 3B: that they train and sample, and that the memory that they take
// is the plan's. Where CUDA is emulated nothing is computed and the models have fewer layers.
#include <cmath>
#include <cstdio>

#include "backend/cuda/loader.h"
#include "model/trainer_fixture.h"

#if WINNOW_EMULATE_CUDA
#include "emulated_cuda.h"
#endif

namespace winnow::test {
namespace {

#if WINNOW_EMULATE_CUDA
constexpr bool kEmulated = true;
#else
constexpr bool kEmulated = false;
#endif

struct LargeShape {
  const char* name;
  int64_t width, feed_forward;
  int layers, emulated_layers, heads, kv_heads, head_dim;
};
constexpr LargeShape kSmall{"Qwen2.5-0.5B", 896, 4864, 24, 12, 14, 2, 64};
constexpr LargeShape kLarge{"Qwen2.5-3B", 2048, 11008, 36, 2, 16, 2, 128};

ModelConfig large_config(const LargeShape& shape) {
  ModelConfig config;
  config.vocabulary = 151936;
  config.width = shape.width;
  config.feed_forward = shape.feed_forward;
  config.layers = kEmulated ? shape.emulated_layers : shape.layers;
  config.heads = shape.heads;
  config.kv_heads = shape.kv_heads;
  config.head_dim = shape.head_dim;
  config.max_positions = 4096;
  config.qkv_bias = config.tied_head = true;
  config.rope_theta = 1e6;
  return config;
}

cuda::MemoryUse memory_use() {
  require_cuda_ops();
  cuda::OpenDevice& open = cuda::open_device(0);
  return open.table->memory(open.device);
}

// What the library handed out, and what it took from the device for that, against the plan. It counts what
// outlives a model too, which is scratch memory.
void check_memory(const LargeShape& shape, const ModelConfig& config, const LossOptions& options) {
  const cuda::MemoryUse now = memory_use();
  const auto used = static_cast<double>(now.used_bytes), held = static_cast<double>(now.held_bytes);
  const PlanOptions sizes{.max_batch_tokens = options.max_batch_tokens,
                          .head_chunk_rows = options.head_chunk_rows};
  const auto planned = static_cast<double>(plan_training(config, DType::kBF16, sizes).total());
  std::printf(
      "{\"name\": \"memory %s %d layers\", \"used_mib\": %.0f, \"held_mib\": %.0f, \"planned_mib\": %.0f}\n",
      shape.name, config.layers, used / 0x1p20, held / 0x1p20, planned / 0x1p20);
  EXPECT(std::fabs(used - planned) <= 0.02 * planned, shape.name, ": used ", used, ", planned ", planned);
  EXPECT(std::fabs(held - planned) <= 0.02 * planned, shape.name, ": held ", held, ", planned ", planned);
}

// A step of supervised training, and sixteen sampled completions.
void check_large(const LargeShape& shape) {
  memory_use();
#if WINNOW_EMULATE_CUDA
  const emulated::DryRun dry(size_t{80} << 30);
#endif
  const ModelConfig config = large_config(shape);
  ThreadPool pool(8);
  Context context{pool};
  Model model(context, cuda_ops(), config, DType::kBF16);
  model.initialise(3, 0.02f);
  model.enable_training();
  Random random(shape.name);
  TokenLists sequences;
  for (int i = 0; i < 4; ++i) sequences.add(random_tokens(random, 256, config.vocabulary));
  LossOptions options = supervised();
  options.max_batch_tokens = 1024;
  const LossResult loss = accumulate(model, sequences, {unit_weights(sequences), {}, {}, {}}, options);
  EXPECT(std::isfinite(loss.sums.loss), loss.sums.loss);
  check_memory(shape, config, options);
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

TEST("cuda/large/a model of the shape of Qwen2.5-0.5B trains and samples") { check_large(kSmall); }

TEST("cuda/large/a model of the shape of Qwen2.5-3B trains and samples") { check_large(kLarge); }

}  // namespace
}  // namespace winnow::test
