// generate: the whole sampling loop in one call.
#include "sample/generate.h"

#include <limits>

#include "addon/exports.h"
#include "addon/model_request.h"

namespace winnow::addon {
namespace {

constexpr int64_t kMostTokens = std::numeric_limits<int>::max();
constexpr int64_t kMostInteger = (1ll << 53) - 1;

struct GenerateRequest {
  FlatSequences prompts;
  std::vector<uint64_t> prompt_keys;
  SamplingOptions sampling;
  GenerateLimits limits;
  std::vector<uint8_t> token_bytes;
  std::vector<uint64_t> token_byte_offsets;
};

SamplingOptions read_sampling(const Fields& request) {
  SamplingOptions sampling;
  sampling.max_tokens = static_cast<int>(request.integer("maxTokens", 0, kMostTokens));
  sampling.temperature = static_cast<float>(request.number("temperature", 0, 1e6));
  sampling.top_k = static_cast<int>(request.integer("topK", 0, kMostTokens));
  sampling.top_p = static_cast<float>(request.number("topP", 0, 1));
  sampling.min_p = static_cast<float>(request.number("minP", 0, 1));
  sampling.seed = static_cast<uint64_t>(request.integer("seed", 0, kMostInteger));
  sampling.completions_per_prompt = static_cast<int>(request.integer("completionsPerPrompt", 1, 1 << 20));
  sampling.ignore_stop_tokens = request.boolean("ignoreStopTokens");
  sampling.stop_tokens = request.int32_array("stopTokens");
  sampling.stop_strings = request.texts("stopStrings");
  return sampling;
}

GenerateRequest read_request(const Fields& request) {
  GenerateRequest result;
  result.prompts = read_sequences(request);
  result.prompt_keys = request.counts("promptKeys");
  if (static_cast<int64_t>(result.prompt_keys.size()) != result.prompts.count())
    fail_argument(request.path("promptKeys"), "one key a prompt: " + std::to_string(result.prompts.count()),
                  std::to_string(result.prompt_keys.size()));
  result.sampling = read_sampling(request);
  result.limits.max_batch = static_cast<int>(request.integer("maxBatch", 1, 1 << 20));
  result.limits.max_kv_bytes = request.integer("maxKvBytes", 1, kMostInteger);
  result.limits.max_prefix_bytes = request.integer("maxPrefixBytes", 0, kMostInteger);
  result.limits.max_activation_bytes = request.integer("maxActivationBytes", 0, kMostInteger);
  result.limits.prefill_tokens = static_cast<int>(request.integer("prefillTokens", 1, kMostTokens));
  result.token_bytes = request.uint8_array("tokenBytes");
  result.token_byte_offsets = request.counts("tokenByteOffsets");
  const std::vector<uint64_t>& offsets = result.token_byte_offsets;
  for (size_t t = 0; t < offsets.size(); ++t)
    if (offsets[t] > result.token_bytes.size() || (t > 0 && offsets[t] < offsets[t - 1]))
      fail_argument(request.path("tokenByteOffsets") + "[" + std::to_string(t) + "]",
                    "an offset into tokenBytes, not below the one before", std::to_string(offsets[t]));
  if (!result.sampling.stop_strings.empty() && offsets.size() < 2)
    fail_argument(request.path("tokenByteOffsets"), "the bytes of every token, as stopStrings are given",
                  "none");
  return result;
}

TokenBytes split_token_bytes(const GenerateRequest& request) {
  TokenBytes result;
  const char* bytes = reinterpret_cast<const char*>(request.token_bytes.data());
  const std::vector<uint64_t>& offsets = request.token_byte_offsets;
  for (size_t t = 0; t + 1 < offsets.size(); ++t)
    result.emplace_back(bytes + offsets[t], offsets[t + 1] - offsets[t]);
  return result;
}

const char* name_of(StopReason reason) {
  switch (reason) {
    case StopReason::kStopToken:
      return "stop_token";
    case StopReason::kStopString:
      return "stop_string";
    case StopReason::kLength:
      return "length";
    case StopReason::kContext:
      return "context";
  }
  return "length";
}

Napi::Object to_statistics(Napi::Env env, const GenerateStatistics& statistics) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("promptTokens", static_cast<double>(statistics.prompt_tokens));
  result.Set("prefilledTokens", static_cast<double>(statistics.prefilled_tokens));
  result.Set("knownPromptTokens", static_cast<double>(statistics.known_prompt_tokens));
  result.Set("decodedTokens", static_cast<double>(statistics.decoded_tokens));
  result.Set("prefillSeconds", statistics.prefill_seconds);
  result.Set("decodeSeconds", statistics.decode_seconds);
  return result;
}

Napi::Value to_result(Napi::Env env, const GenerateResult& generated) {
  size_t total = 0;
  for (const GeneratedSequence& sequence : generated.sequences) total += sequence.tokens.size();
  const size_t count = generated.sequences.size();
  Napi::Int32Array tokens = Napi::Int32Array::New(env, total);
  Napi::Float32Array logprobs = Napi::Float32Array::New(env, total);
  Napi::Float64Array offsets = Napi::Float64Array::New(env, count + 1);
  Napi::Array stop = Napi::Array::New(env, count);
  size_t at = 0;
  for (size_t s = 0; s < count; ++s) {
    const GeneratedSequence& sequence = generated.sequences[s];
    offsets[s] = static_cast<double>(at);
    for (size_t i = 0; i < sequence.tokens.size(); ++i, ++at) {
      tokens[at] = sequence.tokens[i];
      logprobs[at] = sequence.logprobs[i];
    }
    stop.Set(static_cast<uint32_t>(s), name_of(sequence.stop));
  }
  offsets[count] = static_cast<double>(at);
  Napi::Object result = Napi::Object::New(env);
  result.Set("tokens", tokens);
  result.Set("offsets", offsets);
  result.Set("logprobs", logprobs);
  result.Set("stop", stop);
  result.Set("statistics", to_statistics(env, generated.statistics));
  return result;
}

Napi::Value generate_call(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    return [entry, request = read_request(Fields(info[1], "generate"))](const CancelToken& cancel,
                                                                        const Progress& progress) -> Result {
      GenerateResult generated =
          generate(*entry->model, request.prompts.tokens, request.prompts.offsets, request.prompt_keys,
                   request.sampling, split_token_bytes(request), request.limits, cancel, progress);
      return [generated = std::move(generated)](Napi::Env env) { return to_result(env, generated); };
    };
  });
}

}  // namespace

void export_generate(Napi::Env env, Napi::Object exports) {
  exports.Set("generate", Napi::Function::New(env, generate_call, "generate"));
}

}  // namespace winnow::addon
