// The value head: its values and its gradient, alone and beside a policy's.
#include <cmath>

#include "io/safetensors.h"
#include "trainer_fixture.h"

namespace winnow::test {
namespace {

constexpr const char* kName = "score.weight";
// Sums of the same f32 terms in another order, over at most some hundred steps.
constexpr double kOrderError = 2e-5;

const TokenLists kPaths(Lists{{1, 2, 3, 4, 5, 6, 7}, {1, 2, 3, 9, 8}, {}, {11}, {30, 31, 32}, {1, 2, 3, 4}});

std::vector<float> values(Model& model, const TokenLists& sequences, const ValueOptions& options = {}) {
  return winnow::values(model, sequences.tokens, sequences.offsets, options, CancelToken(), nullptr);
}

// Derivatives by the values: none on the first token of a sequence, nor on some others.
std::vector<float> slopes() {
  Random random("value slopes");
  std::vector<float> slope(kPaths.tokens.size());
  for (float& each : slope)
    each = random.integer(0, 4) == 0 ? 0.0f : static_cast<float>(random.uniform(-1, 1));
  for (size_t s = 0; s < kPaths.count(); ++s)
    if (kPaths.offsets[s + 1] > kPaths.offsets[s]) slope[static_cast<size_t>(kPaths.offsets[s])] = 0;
  return slope;
}

LossOptions value_options() {
  LossOptions options;
  options.kind = LossKind::kValue;
  options.head_chunk_rows = 3;
  return options;
}

LossInputs value_inputs(const std::vector<float>& slope) {
  LossInputs inputs;
  inputs.value_gradient = slope;
  return inputs;
}

using Gradients = std::vector<std::vector<float>>;

Gradients take_gradients(Model& model) {
  Gradients gradients;
  for (Parameter& parameter : model.parameters()) gradients.push_back(read(model, parameter.gradient.view()));
  zero_gradients(model);
  return gradients;
}

void expect_close(const Gradients& got, const Gradients& expected, double tolerance) {
  for (size_t tensor = 0; tensor < expected.size(); ++tensor) {
    double difference = 0, length = 0;
    for (size_t i = 0; i < expected[tensor].size(); ++i) {
      const double truth = static_cast<double>(expected[tensor][i]);
      difference += std::pow(static_cast<double>(got[tensor][i]) - truth, 2);
      length += truth * truth;
    }
    EXPECT(std::sqrt(difference) <= tolerance * std::sqrt(length) + 1e-12, "tensor ", tensor, " is off");
  }
}

// The sum whose derivatives by the values are `slope`.
double weighted_sum(const std::vector<float>& found, const std::vector<float>& slope) {
  double sum = 0;
  for (size_t i = 0; i < slope.size(); ++i)
    if (slope[i] != 0) sum += static_cast<double>(slope[i]) * static_cast<double>(found[i]);
  return sum;
}

// Central differences of fourth order along the gradient; values near 1 in f32, some twenty of them.
void check_slope(Model& model, size_t tensor, const std::vector<float>& gradient) {
  constexpr double kStep = 0x1p-6;
  Parameter& parameter = model.parameters()[tensor];
  const std::vector<float> origin = read(model, parameter.value.view());
  double length = 0;
  for (const float value : gradient) length += static_cast<double>(value) * static_cast<double>(value);
  length = std::sqrt(length);
  const auto at = [&](double step) {
    std::vector<float> moved(origin);
    for (size_t i = 0; i < moved.size(); ++i)
      moved[i] += static_cast<float>(length == 0 ? 0 : step * static_cast<double>(gradient[i]) / length);
    model.ops().upload(model.context(), parameter.value.view().data, moved.data(),
                       moved.size() * sizeof(float));
    model.pack();
    return weighted_sum(values(model, kPaths), slopes());
  };
  const double measured = (8 * (at(kStep) - at(-kStep)) - (at(2 * kStep) - at(-2 * kStep))) / (12 * kStep);
  at(0);
  EXPECT(std::abs(measured - length) <= 2e-4 + 5e-4 * length, parameter.spec.name, ": slope ", measured,
         ", gradient ", length);
}

TEST("model/value head/gradients are the slopes of the values") {
  for (const char* architecture : {"qwen2+value", "llama+value"}) {
    TinyModel tiny(reference_ops(), architecture);
    tiny.model.enable_training();
    const std::vector<float> slope = slopes();
    const LossResult result = accumulate(tiny.model, kPaths, value_inputs(slope), value_options());
    EXPECT(result.sums.entries == 0 && std::isnan(result.logprobs[1]), "no loss on log-probabilities");
    Gradients gradients = take_gradients(tiny.model);
    for (size_t tensor = 0; tensor < gradients.size(); ++tensor)
      check_slope(tiny.model, tensor, gradients[tensor]);
    expect_failure("a gradient of the wrong row", [&] {
      std::ranges::rotate(gradients[0], gradients[0].begin() + 1);
      check_slope(tiny.model, 0, gradients[0]);
    });
  }
}

const Registration kOnBackends([] {
  add_model_tests("model/value head/values stand with the row that predicts", [](const Ops& ops) {
    TinyModel tiny(ops, "qwen2+value");
    const std::vector<float> all = values(tiny.model, kPaths);
    for (size_t s = 0; s < kPaths.count(); ++s) {
      const auto begin = static_cast<size_t>(kPaths.offsets[s]);
      const auto end = static_cast<size_t>(kPaths.offsets[s + 1]);
      if (begin != end) EXPECT(std::isnan(all[begin]), "nothing stands before the first token");
      // What follows a state does not change its value.
      for (size_t i = begin + 1; i < end; ++i) {
        std::vector<int32_t> path(kPaths.tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                                  kPaths.tokens.begin() + static_cast<std::ptrdiff_t>(i));
        path.push_back(36);
        EXPECT(same_bits({values(tiny.model, TokenLists(Lists{path})).back()}, {all[i]}), "value ", i);
      }
    }
    for (const int rows : {1, 4, 9})
      EXPECT(same_bits(values(tiny.model, kPaths, {.max_batch_tokens = rows}), all), "any batch");
    TinyModel threaded(ops, "qwen2+value", DType::kF32, 3);
    EXPECT(same_bits(values(threaded.model, kPaths), all), "any number of threads");
  });

  add_model_tests("model/value head/gradients equal the reference, split or whole", [](const Ops& ops) {
    const std::vector<float> slope = slopes();
    const auto gradients = [&](const Ops& backend, DType dtype, int rows) {
      TinyModel tiny(backend, "llama+value", dtype, 2);
      tiny.model.enable_training();
      LossOptions options = value_options();
      options.max_batch_tokens = rows;
      accumulate(tiny.model, kPaths, value_inputs(slope), options);
      return take_gradients(tiny.model);
    };
    const Gradients expected = gradients(reference_ops(), DType::kF32, 64);
    expect_close(gradients(ops, DType::kF32, 64), expected, 1e-4);
    expect_close(gradients(ops, DType::kF32, 4), gradients(ops, DType::kF32, 64), kOrderError);
    const Gradients rounded = gradients(ops, DType::kBF16, 64);
    expect_close(rounded, expected, 0.1);
    expect_failure("bf16 is not f32", [&] { expect_close(rounded, expected, 1e-4); });
  });

  add_model_tests("model/value head/beside a policy both gradients add up", [](const Ops& ops) {
    TinyModel tiny(ops, "qwen3+value");
    tiny.model.enable_training();
    const std::vector<float> slope = slopes(), weight = unit_weights(kPaths);
    const std::vector<float> advantage(weight.size(), 0.5f);
    LossInputs policy{weight, advantage, {}, {}};
    LossOptions options = value_options();
    accumulate(tiny.model, kPaths, value_inputs(slope), options);
    options.kind = LossKind::kPolicyGradient;
    accumulate(tiny.model, kPaths, policy, options);
    const Gradients expected = take_gradients(tiny.model);
    policy.value_gradient = slope;
    const LossResult both = accumulate(tiny.model, kPaths, policy, options);
    const Gradients together = take_gradients(tiny.model);
    expect_close(together, expected, kOrderError);
    EXPECT(both.sums.entries == 15, both.sums.entries, " entries");
    policy.value_gradient = {};
    accumulate(tiny.model, kPaths, policy, options);
    const Gradients alone = take_gradients(tiny.model);
    expect_failure("the critic counts", [&] { expect_close(alone, expected, kOrderError); });
  });
});

TEST("model/value head/starts at zero, and is saved beside the weights") {
  TinyModel tiny(cpu_ops(), "qwen2+value");
  const TemporaryFile weights("value-weights"), head("value-head");
  tiny.model.save(weights.path, DType::kF32);
  tiny.model.save_value_head(head.path);
  EXPECT(!SafetensorsReader({weights.path}).contains(kName), "no head in the model's file");
  Model again(tiny.context, cpu_ops(), tiny_config("qwen2+value"), DType::kF32);
  again.load(std::make_shared<SafetensorsReader>(std::vector{weights.path, head.path}));
  EXPECT(same_bits(values(again, kPaths), values(tiny.model, kPaths)), "the same critic");
  again.enable_training();
  EXPECT(same_bits(values(again, kPaths), values(tiny.model, kPaths)), "also once it trains");
  Model fresh(tiny.context, cpu_ops(), tiny_config("qwen2+value"), DType::kF32);
  fresh.load(std::make_shared<SafetensorsReader>(std::vector{weights.path}));
  for (const float value : values(fresh, kPaths)) EXPECT(std::isnan(value) || value == 0, "zero at first");
  // To a model without one the file is a stranger.
  Model plain(tiny.context, cpu_ops(), tiny_config("qwen2"), DType::kF32);
  expect_error("ERR_TENSOR_UNEXPECTED", [&] {
    plain.load(std::make_shared<SafetensorsReader>(std::vector{weights.path, head.path}));
  });
}

TEST("model/value head/is trained, saved and restored with the rest") {
  TinyModel tiny(cpu_ops(), "qwen2+value"), other(cpu_ops(), "qwen2+value", DType::kF32, 1, 0.3f);
  const TemporaryFile file("value-optimizer");
  UpdateOptions update;
  update.adamw.learning_rate = 0.01f;
  const std::vector<float> slope = slopes();
  for (TinyModel* one : {&tiny, &other}) one->model.enable_training();
  const std::vector<float> before = values(tiny.model, kPaths);
  for (int64_t step = 1; step <= 3; ++step) {
    update.adamw.step = step;
    accumulate(tiny.model, kPaths, value_inputs(slope), value_options());
    EXPECT(!apply_gradients(tiny.model, update).skipped, "an update");
  }
  EXPECT(weighted_sum(values(tiny.model, kPaths), slope) < weighted_sum(before, slope), "went downhill");
  save_optimizer_state(tiny.model, file.path);
  load_optimizer_state(other.model, file.path);
  EXPECT(same_state(state_of(tiny.model), state_of(other.model)), "bit for bit");
  EXPECT(same_bits(values(tiny.model, kPaths), values(other.model, kPaths)), "and packed");
}

TEST("model/value head/refuses what does not fit") {
  TinyModel plain(cpu_ops(), "qwen2"), tiny(cpu_ops(), "qwen2+value");
  const std::vector<float> slope = slopes(), weight = unit_weights(kPaths), short_list(3, 1.0f);
  expect_error("ERR_VALUE_HEAD", [&] { values(plain.model, kPaths); });
  expect_error("ERR_VALUE_HEAD", [&] { plain.model.save_value_head("never"); });
  expect_error("ERR_OPTION", [&] { values(tiny.model, kPaths, {.max_batch_tokens = 0}); });
  expect_error("ERR_TOKEN_RANGE", [&] { values(tiny.model, TokenLists(Lists{{1, 99}})); });
  for (TinyModel* one : {&plain, &tiny}) one->model.enable_training();
  const auto run = [&](Model& model, const LossInputs& inputs, const LossOptions& options) {
    return [&model, inputs, options] { accumulate(model, kPaths, inputs, options); };
  };
  expect_error("ERR_VALUE_HEAD", run(plain.model, value_inputs(slope), value_options()));
  expect_error("ERR_SHAPE", run(tiny.model, value_inputs(short_list), value_options()));
  expect_error("ERR_SHAPE", run(tiny.model, {}, value_options()));
  LossInputs weighted = value_inputs(slope);
  weighted.weight = weight;
  expect_error("ERR_SHAPE", run(tiny.model, weighted, value_options()));
  std::vector<float> first(slope), infinite(slope);
  first[0] = 1;
  infinite[2] = std::numeric_limits<float>::infinity();
  expect_error("ERR_LOSS_WEIGHT", run(tiny.model, value_inputs(first), value_options()));
  expect_error("ERR_LOSS_WEIGHT", run(tiny.model, value_inputs(infinite), value_options()));
}

}  // namespace
}  // namespace winnow::test
