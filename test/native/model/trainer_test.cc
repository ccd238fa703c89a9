// Scoring, loss inputs, the optimizer step.
#include <cmath>
#include <limits>

#include "trainer_fixture.h"

namespace winnow::test {
namespace {

TEST("model/score/probabilities of all next tokens add up to one, and first tokens have none") {
  TinyModel tiny(reference_ops(), "mistral");
  TokenLists next;
  for (int32_t token = 0; token < 37; ++token) next.add({8, 9, token});
  const std::vector<float> logprobs = score(tiny.model, next);
  double total = 0;
  for (size_t token = 0; token < 37; ++token) {
    EXPECT(std::isnan(logprobs[token * 3]), "nothing predicts the first token");
    EXPECT(logprobs[token * 3 + 1] == logprobs[1], "a shared token has one log-probability");
    total += std::exp(static_cast<double>(logprobs[token * 3 + 2]));
  }
  EXPECT(std::abs(total - 1) < 1e-6, total);
}

TEST("model/score/refuses what it cannot score") {
  TinyModel tiny(reference_ops(), "qwen2");
  expect_error("ERR_TOKEN_RANGE", [&] { score(tiny.model, TokenLists(Lists{{1, 99}})); });
  expect_error("ERR_CONTEXT_LENGTH",
               [&] { score(tiny.model, TokenLists(Lists{std::vector<int32_t>(97, 1)})); });
  expect_error("ERR_OPTION", [&] { score(tiny.model, kSequences, {.temperature = 0}); });
  expect_error("ERR_OPTION", [&] { score(tiny.model, kSequences, {.max_batch_tokens = 0}); });
  EXPECT(score(tiny.model, TokenLists(Lists{std::vector<int32_t>(96, 1)})).size() == 96, "the whole context");
  EXPECT(score(tiny.model, TokenLists()).empty(), "nothing");
  CancelToken cancel;
  cancel.cancel();
  expect_error("ERR_ABORTED", [&] {
    winnow::score(tiny.model, kSequences.tokens, kSequences.offsets, {}, cancel, nullptr);
  });
}

TEST("model/loss/the supervised loss is the weighted sum of negative log-probabilities") {
  TinyModel tiny(cpu_ops(), "qwen2");
  tiny.model.enable_training();
  std::vector<float> weight = unit_weights(kSequences);
  weight[4] = 0.25f;
  weight[2] = 0;
  const std::vector<float> logprobs = score(tiny.model, kSequences);
  const LossResult result = accumulate(tiny.model, kSequences, {weight, {}, {}, {}}, supervised());
  double expected = 0;
  int64_t entries = 0;
  for (size_t i = 0; i < weight.size(); ++i) {
    EXPECT(std::isnan(result.logprobs[i]) == (weight[i] == 0), "log-probabilities where there is a loss");
    if (weight[i] == 0) continue;
    expected -= static_cast<double>(weight[i]) * static_cast<double>(logprobs[i]);
    ++entries;
  }
  EXPECT(std::abs(result.sums.loss - expected) < 1e-12 * expected, result.sums.loss, " not ", expected);
  EXPECT(result.sums.entries == entries, "entries");
}

TEST("model/loss/refuses inputs that do not fit") {
  TinyModel tiny(cpu_ops(), "qwen2");
  std::vector<float> weight = unit_weights(kSequences);
  const std::vector<float> advantage(weight.size(), 1.0f), short_list(3, 1.0f);
  const auto run = [&](const LossInputs& inputs, const LossOptions& options) {
    return [&tiny, inputs, options] { accumulate(tiny.model, kSequences, inputs, options); };
  };
  expect_error("ERR_NOT_TRAINING", run({weight, {}, {}, {}}, supervised()));
  expect_error("ERR_NOT_TRAINING", [&] { apply_gradients(tiny.model, {}); });
  tiny.model.enable_training();
  expect_error("ERR_SHAPE", run({short_list, {}, {}, {}}, supervised()));
  expect_error("ERR_SHAPE", run({weight, advantage, {}, {}}, supervised()));
  expect_error("ERR_SHAPE", run({weight, {}, {}, {}}, {}));
  expect_error("ERR_SHAPE", run({weight, advantage, short_list, {}}, {}));
  LossOptions options;
  options.policy.kl_coefficient = 0.1f;
  expect_error("ERR_OPTION", run({weight, advantage, {}, {}}, options));
  options = supervised();
  options.head_chunk_rows = 0;
  expect_error("ERR_OPTION", run({weight, {}, {}, {}}, options));
  options.head_chunk_rows = 1 << 30;
  expect_error("ERR_MEMORY_PLAN", run({weight, {}, {}, {}}, options));
  for (const float bad : {1.0f, std::nanf("")}) {
    weight = unit_weights(kSequences);
    weight[std::isnan(bad) ? 3 : 0] = bad;
    expect_error("ERR_LOSS_WEIGHT", run({weight, {}, {}, {}}, supervised()));
  }
}

bool all_zero_gradients(Model& model) {
  for (Parameter& parameter : model.parameters())
    for (const float value : read(model, parameter.gradient.view()))
      if (value != 0) return false;
  return true;
}

TEST("model/loss/an abort leaves no part of a gradient") {
  TinyModel tiny(cpu_ops(), "qwen2");
  tiny.model.enable_training();
  const std::vector<float> weight = unit_weights(kSequences);
  LossOptions options = supervised();
  options.max_batch_tokens = 3;
  CancelToken cancel;
  expect_error("ERR_ABORTED", [&] {
    accumulate_gradients(tiny.model, kSequences.tokens, kSequences.offsets, {weight, {}, {}, {}}, options,
                         cancel, [&](int64_t, int64_t) {
                           EXPECT(!all_zero_gradients(tiny.model), "a part is there");
                           cancel.cancel();
                         });
  });
  EXPECT(all_zero_gradients(tiny.model), "zero after the abort");
  accumulate(tiny.model, kSequences, {weight, {}, {}, {}}, options);
  EXPECT(!all_zero_gradients(tiny.model), "and the next call works");
}

// One AdamW step in double from the values before it (Loshchilov & Hutter 2019, algorithm 2; bias
// correction as in PyTorch), with the gradient already clipped.
double adamw_step(double value, double gradient, double& moment1, double& moment2, const AdamwOptions& o,
                  bool decays) {
  const double beta1 = o.beta1, beta2 = o.beta2, rate = o.learning_rate;
  moment1 = beta1 * moment1 + (1 - beta1) * gradient;
  moment2 = beta2 * moment2 + (1 - beta2) * gradient * gradient;
  const double step = static_cast<double>(o.step);
  const double corrected1 = moment1 / (1 - std::pow(beta1, step)),
               corrected2 = moment2 / (1 - std::pow(beta2, step));
  if (decays) value -= rate * static_cast<double>(o.weight_decay) * value;
  return value - rate * corrected1 / (std::sqrt(corrected2) + static_cast<double>(o.epsilon));
}

// With decay of the matrices, or of the norms alone.
void check_update(bool matrices) {
  TinyModel tiny(cpu_ops(), "qwen2");
  tiny.model.enable_training();
  accumulate(tiny.model, kSequences, {unit_weights(kSequences), {}, {}, {}}, supervised());
  std::vector<std::vector<float>> before, gradients;
  double squares = 0;
  for (Parameter& parameter : tiny.model.parameters()) {
    before.push_back(read(tiny.model, parameter.value.view()));
    gradients.push_back(read(tiny.model, parameter.gradient.view()));
    for (const float value : gradients.back())
      squares += static_cast<double>(value) * static_cast<double>(value);
  }
  UpdateOptions options;
  options.adamw.learning_rate = 0.01f;
  options.adamw.weight_decay = 0.5f;
  options.adamw.epsilon = 1e-3f;  // large enough that the clipping shows
  options.max_gradient_norm = 0.5f;
  if (!matrices) options.decays = {false, false, false, false, true, false};
  const UpdateResult result = apply_gradients(tiny.model, options);
  EXPECT(std::abs(result.gradient_norm - std::sqrt(squares)) < 1e-6 * std::sqrt(squares),
         result.gradient_norm);
  EXPECT(result.gradient_norm > 0.5 && !result.skipped, "clipped");
  const double scale = 0.5 / (std::sqrt(squares) + 1e-6);
  for (size_t tensor = 0; tensor < before.size(); ++tensor) {
    const Parameter& parameter = tiny.model.parameters()[tensor];
    const bool decays =
        matrices ? parameter.value.view().rank == 2 : parameter.spec.name.ends_with("norm.weight");
    const std::vector<float> after = read(tiny.model, parameter.value.view());
    for (size_t i = 0; i < after.size(); ++i) {
      double moment1 = 0, moment2 = 0;
      const double expected = adamw_step(static_cast<double>(before[tensor][i]),
                                         scale * static_cast<double>(gradients[tensor][i]), moment1, moment2,
                                         options.adamw, decays);
      EXPECT(std::abs(static_cast<double>(after[i]) - expected) < 3e-7, parameter.spec.name, " entry ", i);
    }
  }
  EXPECT(all_zero_gradients(tiny.model), "zeroed");
}

TEST("model/update/clips by the global norm, decays matrices unless told otherwise, zeroes the gradients") {
  for (const bool matrices : {true, false}) check_update(matrices);
}

TEST("model/update/tells the norm of each group of parameters") {
  for (const std::string& architecture : tiny_architectures()) {
    TinyModel tiny(cpu_ops(), architecture);
    tiny.model.enable_training();
    accumulate(tiny.model, kSequences, {unit_weights(kSequences), {}, {}, {}}, supervised());
    double embedding = 0, rest = 0;
    for (Parameter& parameter : tiny.model.parameters())
      for (const float value : read(tiny.model, parameter.gradient.view()))
        (parameter.spec.name == "model.embed_tokens.weight" ? embedding : rest) +=
            static_cast<double>(value) * static_cast<double>(value);
    const UpdateResult result = apply_gradients(tiny.model, {});
    const ModelConfig& config = tiny.model.config();
    const bool expected[] = {
        true, true, true, !config.tied_head, true, config.qkv_bias || config.output_bias};
    double others = 0;
    for (size_t group = 0; group < kParameterGroups; ++group) {
      EXPECT(result.has_group[group] == expected[group], architecture, kParameterGroupNames[group]);
      EXPECT((result.group_norms[group] > 0) == expected[group], architecture, kParameterGroupNames[group]);
      if (group > 0) others += result.group_norms[group] * result.group_norms[group];
    }
    EXPECT(std::abs(result.group_norms[0] - std::sqrt(embedding)) < 1e-6 * std::sqrt(embedding), "embedding");
    EXPECT(std::abs(others - rest) < 1e-6 * rest, "the groups are all there is");
  }
}

TEST("model/update/a non-finite gradient changes nothing and says so") {
  TinyModel tiny(cpu_ops(), "qwen3");
  tiny.model.enable_training();
  accumulate(tiny.model, kSequences, {unit_weights(kSequences), {}, {}, {}}, supervised());
  apply_gradients(tiny.model, {});
  const auto before = state_of(tiny.model);
  const std::vector<float> scores = score(tiny.model, kSequences);
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    accumulate(tiny.model, kSequences, {unit_weights(kSequences), {}, {}, {}}, supervised());
    const View gradient = tiny.model.parameter("model.norm.weight").gradient.view();
    tiny.model.ops().upload(tiny.context, gradient.f32() + 2, &bad, sizeof(bad));
    const UpdateResult result = apply_gradients(tiny.model, {});
    EXPECT(result.skipped && !std::isfinite(result.gradient_norm), "skipped");
    EXPECT(same_state(state_of(tiny.model), before), "values and moments");
    EXPECT(same_bits(score(tiny.model, kSequences), scores), "scores");
    EXPECT(all_zero_gradients(tiny.model), "zeroed");
  }
  accumulate(tiny.model, kSequences, {unit_weights(kSequences), {}, {}, {}}, supervised());
  UpdateOptions options;
  options.adamw.learning_rate = 1e-3f;
  apply_gradients(tiny.model, options);
  EXPECT(!same_state(state_of(tiny.model), before), "a finite one does change them");
}

TEST("model/training/the plan adds up") {
  const ModelConfig config = tiny_config("qwen2");
  int64_t parameters = 0;
  for (const ParameterSpec& spec : parameter_specs(config)) parameters += spec.rows * spec.cols;
  const MemoryPlan plan =
      plan_training(config, DType::kBF16, {.max_batch_tokens = 100, .head_chunk_rows = 8});
  EXPECT(plan.optimizer == 16 * parameters, "f32 master, gradient and two moments");
  EXPECT(plan.head >= 8 * 37 * 4 && plan.head < 8 * 100 * 4, "head_chunk_rows x vocabulary");
  EXPECT(plan.kv_store == static_cast<int64_t>(KeyValueStore::size_bytes(config, 14)),
         "two blocks for every 16 rows");
  EXPECT(plan.total() ==
             plan.weights + plan.optimizer + plan.activations + plan.head + plan.kv_store + plan.scratch,
         "total");
  expect_error("ERR_MODEL_CONFIG", [] { plan_training({}, DType::kF32, {}); });
}

}  // namespace
}  // namespace winnow::test
