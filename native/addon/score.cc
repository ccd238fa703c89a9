// score, values, embed: log-probabilities, values and mean hidden states of given sequences.
#include <limits>

#include "addon/exports.h"
#include "addon/model_request.h"
#include "train/trainer.h"

namespace winnow::addon {
namespace {

Napi::Value score_call(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    const Fields request(info[1], "score");
    ScoreOptions options;
    options.temperature = static_cast<float>(request.number("temperature", 1e-6, 1e6));
    options.max_batch_tokens =
        static_cast<int>(request.integer("maxBatchTokens", 1, std::numeric_limits<int>::max()));
    options.adapter = request.boolean("adapter");
    return [entry, options, sequences = read_sequences(request)](const CancelToken& cancel,
                                                                 const Progress& progress) -> Result {
      return [logprobs = score(*entry->model, sequences.tokens, sequences.offsets, options, cancel,
                               progress)](Napi::Env env) { return to_float32_array(env, logprobs); };
    };
  });
}

Napi::Value values_call(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    const Fields request(info[1], "values");
    ValueOptions options;
    options.max_batch_tokens =
        static_cast<int>(request.integer("maxBatchTokens", 1, std::numeric_limits<int>::max()));
    return [entry, options, sequences = read_sequences(request)](const CancelToken& cancel,
                                                                 const Progress& progress) -> Result {
      return [found = values(*entry->model, sequences.tokens, sequences.offsets, options, cancel, progress)](
                 Napi::Env env) { return to_float32_array(env, found); };
    };
  });
}

Napi::Value embed_call(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    const Fields request(info[1], "embed");
    EmbedOptions options;
    options.max_batch_tokens =
        static_cast<int>(request.integer("maxBatchTokens", 1, std::numeric_limits<int>::max()));
    return [entry, options, sequences = read_sequences(request)](const CancelToken& cancel,
                                                                 const Progress& progress) -> Result {
      return [means = embed(*entry->model, sequences.tokens, sequences.offsets, options, cancel, progress)](
                 Napi::Env env) { return to_float32_array(env, means); };
    };
  });
}

}  // namespace

void export_score(Napi::Env env, Napi::Object exports) {
  exports.Set("score", Napi::Function::New(env, score_call, "score"));
  exports.Set("values", Napi::Function::New(env, values_call, "values"));
  exports.Set("embed", Napi::Function::New(env, embed_call, "embed"));
}

}  // namespace winnow::addon
