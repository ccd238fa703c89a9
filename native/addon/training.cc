// enableTraining, accumulateGradients, applyGradients, the optimizer's state, planTraining.
#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "addon/exports.h"
#include "addon/model_request.h"
#include "train/trainer.h"

namespace winnow::addon {
namespace {

constexpr int64_t kMostRows = std::numeric_limits<int>::max();

TrainingForms read_forms(const Fields& request) {
  TrainingForms forms;
  if (request.choice("moments", {"f32", "8bit"}) == 1) forms.moments = MomentForm::k8Bit;
  if (request.choice("masters", {"f32", "split"}) == 1) forms.masters = MasterForm::kPacked;
  return forms;
}

Napi::Value enable_training(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    const TrainingForms forms = read_forms(Fields(info[1], "enableTraining"));
    return [entry, forms](const CancelToken&, const Progress&) -> Result {
      entry->model->enable_training(forms);
      entry->measure_memory();
      return [entry](Napi::Env env) {
        entry->report_memory(env);
        return env.Undefined();
      };
    };
  });
}

struct LossRequest {
  FlatSequences sequences;
  std::vector<float> weight, advantage, old_logprob, reference_logprob, value_gradient;
  LossOptions options;
};

std::vector<float> read_aligned(const Fields& request, const char* name, size_t length, bool required) {
  if (!required && !request.has(name)) return {};
  std::vector<float> values = request.float32_array(name);
  if (values.size() != length)
    fail_argument(request.path(name), "one entry a token: " + std::to_string(length),
                  std::to_string(values.size()));
  return values;
}

Recompute read_recompute(const Fields& request) {
  return request.choice("recompute", {"none", "layer"}) == 0 ? Recompute::kNone : Recompute::kLayer;
}

LossRequest read_loss_request(const Fields& request) {
  LossRequest result;
  result.sequences = read_sequences(request);
  const size_t length = result.sequences.tokens.size();
  const auto kind = static_cast<LossKind>(request.choice("kind", {"supervised", "policy_gradient", "value"}));
  result.weight = read_aligned(request, "weight", length, kind != LossKind::kValue);
  result.advantage = read_aligned(request, "advantage", length, kind == LossKind::kPolicyGradient);
  result.old_logprob = read_aligned(request, "oldLogprob", length, false);
  result.reference_logprob = read_aligned(request, "referenceLogprob", length, false);
  result.value_gradient = read_aligned(request, "valueGradient", length, kind == LossKind::kValue);
  LossOptions& options = result.options;
  options.kind = kind;
  options.policy.clip_low = static_cast<float>(request.number("clipLow", 0, 1));
  options.policy.clip_high = static_cast<float>(request.number("clipHigh", 0, 1e6));
  options.policy.kl_coefficient = static_cast<float>(request.number("klCoefficient", 0, 1e6));
  options.policy.entropy_coefficient = static_cast<float>(request.number("entropyCoefficient", -1e6, 1e6));
  options.temperature = static_cast<float>(request.number("temperature", 1e-6, 1e6));
  options.max_batch_tokens = static_cast<int>(request.integer("maxBatchTokens", 1, kMostRows));
  options.head_chunk_rows = static_cast<int>(request.integer("headChunkRows", 1, kMostRows));
  options.recompute = read_recompute(request);
  options.dropout_seed = static_cast<uint64_t>(request.integer("dropoutSeed", 0, (1ll << 53) - 1));
  if (options.policy.kl_coefficient > 0 && result.reference_logprob.empty())
    fail_argument(request.path("referenceLogprob"), "a Float32Array, as klCoefficient is above 0",
                  "undefined");
  return result;
}

Napi::Value to_result(Napi::Env env, const LossResult& loss) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("loss", loss.sums.loss);
  result.Set("policyLoss", loss.sums.policy_loss);
  result.Set("kl", loss.sums.kl);
  result.Set("entropy", loss.sums.entropy);
  result.Set("logRatio", loss.sums.log_ratio);
  result.Set("absoluteLogRatio", loss.sums.absolute_log_ratio);
  result.Set("maxAbsoluteLogRatio", loss.sums.max_absolute_log_ratio);
  result.Set("clipped", static_cast<double>(loss.sums.clipped));
  result.Set("entries", static_cast<double>(loss.sums.entries));
  result.Set("logprobs", to_float32_array(env, loss.logprobs));
  result.Set("forestTokens", static_cast<double>(loss.forest_tokens));
  result.Set("sequenceTokens", static_cast<double>(loss.sequence_tokens));
  result.Set("cachedTokens", static_cast<double>(loss.cached_tokens));
  result.Set("forwardSeconds", loss.forward_seconds);
  result.Set("headSeconds", loss.head_seconds);
  result.Set("backwardSeconds", loss.backward_seconds);
  return result;
}

Napi::Value accumulate_call(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    return [entry, request = read_loss_request(Fields(info[1], "accumulateGradients"))](
               const CancelToken& cancel, const Progress& progress) -> Result {
      const LossInputs inputs = {request.weight, request.advantage, request.old_logprob,
                                 request.reference_logprob, request.value_gradient};
      LossResult loss =
          accumulate_gradients(*entry->model, request.sequences.tokens, request.sequences.offsets, inputs,
                               request.options, cancel, progress);
      return [loss = std::move(loss)](Napi::Env env) { return to_result(env, loss); };
    };
  });
}

std::array<bool, kParameterGroups> read_groups(const Fields& request, const char* name) {
  const std::vector<std::string> known(std::begin(kParameterGroupNames), std::end(kParameterGroupNames));
  std::array<bool, kParameterGroups> groups{};
  for (const std::string& group : request.texts(name)) {
    const auto found = std::ranges::find(known, group);
    if (found == known.end())
      fail_argument(request.path(name), "names among embedding, attention, mlp, head, norm and bias", group);
    groups[static_cast<size_t>(found - known.begin())] = true;
  }
  return groups;
}

Napi::Object group_norms(Napi::Env env, const UpdateResult& update) {
  Napi::Object norms = Napi::Object::New(env);
  for (size_t group = 0; group < kParameterGroups; ++group)
    if (update.has_group[group]) norms.Set(kParameterGroupNames[group], update.group_norms[group]);
  return norms;
}

Napi::Value apply_call(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    const Fields request(info[1], "applyGradients");
    UpdateOptions options;
    options.adamw.learning_rate = static_cast<float>(request.number("learningRate", 0, 1e6));
    options.adamw.beta1 = static_cast<float>(request.number("beta1", 0, 0.9999999));
    options.adamw.beta2 = static_cast<float>(request.number("beta2", 0, 0.9999999));
    options.adamw.epsilon = static_cast<float>(request.number("epsilon", 0, 1));
    options.adamw.weight_decay = static_cast<float>(request.number("weightDecay", 0, 1e6));
    options.adamw.step = request.integer("step", 1, (1ll << 53) - 1);
    options.max_gradient_norm = static_cast<float>(request.number("maxGradientNorm", 0, 1e30));
    options.decays = read_groups(request, "decayGroups");
    return [entry, options](const CancelToken&, const Progress&) -> Result {
      const UpdateResult update = apply_gradients(*entry->model, options);
      return [update](Napi::Env env) {
        Napi::Object result = Napi::Object::New(env);
        result.Set("gradientNorm", update.gradient_norm);
        result.Set("gradientNorms", group_norms(env, update));
        result.Set("skipped", update.skipped);
        return result;
      };
    };
  });
}

Napi::Value save_optimizer_call(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    return [entry, path = Fields(info[1], "saveOptimizerState").text("path")](const CancelToken&,
                                                                              const Progress&) -> Result {
      save_optimizer_state(*entry->model, path);
      return undefined_result();
    };
  });
}

Napi::Value load_optimizer_call(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    return [entry, path = Fields(info[1], "loadOptimizerState").text("path")](const CancelToken&,
                                                                              const Progress&) -> Result {
      load_optimizer_state(*entry->model, path);
      entry->measure_memory();
      return [entry](Napi::Env env) {
        entry->report_memory(env);
        return env.Undefined();
      };
    };
  });
}

Napi::Value plan_training_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const Fields request(info[0], "planTraining");
    std::optional<AdapterConfig> adapter;
    if (request.has("adapter")) adapter = read_adapter_config(request.nested("adapter"));
    PlanOptions options;
    options.max_batch_tokens = static_cast<int>(request.integer("maxBatchTokens", 1, kMostRows));
    options.head_chunk_rows = static_cast<int>(request.integer("headChunkRows", 1, kMostRows));
    options.recompute = read_recompute(request);
    options.threads = static_cast<int>(request.integer("threads", 1, 65536));
    options.adapter = adapter ? &*adapter : nullptr;
    options.forms = read_forms(request);
    const DType dtype = read_dtype(request, "dtype");
    const MemoryPlan plan = plan_training(read_model_config(request.nested("config"), dtype), dtype, options);
    Napi::Object result = Napi::Object::New(env);
    result.Set("weightsBytes", static_cast<double>(plan.weights));
    result.Set("optimizerBytes", static_cast<double>(plan.optimizer));
    result.Set("activationsBytes", static_cast<double>(plan.activations));
    result.Set("headBytes", static_cast<double>(plan.head));
    result.Set("kvStoreBytes", static_cast<double>(plan.kv_store));
    result.Set("scratchBytes", static_cast<double>(plan.scratch));
    result.Set("trainedParameters", static_cast<double>(plan.trained_parameters));
    return result;
  });
}

}  // namespace

void export_training(Napi::Env env, Napi::Object exports) {
  exports.Set("enableTraining", Napi::Function::New(env, enable_training, "enableTraining"));
  exports.Set("accumulateGradients", Napi::Function::New(env, accumulate_call, "accumulateGradients"));
  exports.Set("applyGradients", Napi::Function::New(env, apply_call, "applyGradients"));
  exports.Set("saveOptimizerState", Napi::Function::New(env, save_optimizer_call, "saveOptimizerState"));
  exports.Set("loadOptimizerState", Napi::Function::New(env, load_optimizer_call, "loadOptimizerState"));
  exports.Set("planTraining", Napi::Function::New(env, plan_training_call, "planTraining"));
}

}  // namespace winnow::addon
