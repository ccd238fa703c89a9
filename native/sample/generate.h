// The generate loop: prompts in, finished completions out, wholly in C++.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "model/model.h"

namespace winnow {

enum class StopReason : uint8_t { kStopToken, kStopString, kLength, kContext };

struct SamplingOptions {
  int max_tokens = 128;
  float temperature = 1;  // 0 = greedy
  int top_k = 0;
  float top_p = 1;
  float min_p = 0;
  uint64_t seed = 0;
  int completions_per_prompt = 1;
  bool ignore_stop_tokens = false;
  std::vector<int32_t> stop_tokens;
  std::vector<std::string> stop_strings;
};

// token_bytes[token] = its UTF-8 bytes, for stop strings; empty when no stop string is asked for.
using TokenBytes = std::vector<std::string>;

struct GenerateLimits {
  int max_batch = 256;               // rows decoded together
  int64_t max_kv_bytes = 1ll << 30;  // ceiling of the KV store
  int prefill_tokens = 512;          // tokens per prefill chunk
  // Keys of prompts, in up to so many bytes beside max_kv_bytes, stay until the weights change, and are
  // not computed again where a later prompt begins alike; the longest unused go first. 0 = none.
  int64_t max_prefix_bytes = 0;
  // Activations of up to so many bytes are kept for accumulate_gradients (see activation_cache.h); what
  // an earlier call kept is forgotten. 0 = none.
  int64_t max_activation_bytes = 0;
};

struct GeneratedSequence {
  std::vector<int32_t> tokens;  // the stop token included when one was sampled
  std::vector<float> logprobs;  // of each token, at the sampling temperature (1 when greedy)
  StopReason stop = StopReason::kLength;
};

struct GenerateStatistics {
  int64_t prompt_tokens = 0;        // as given, over all prompts
  int64_t prefilled_tokens = 0;     // as computed: shared prefixes once, and none that is known
  int64_t known_prompt_tokens = 0;  // shared prefixes once; their keys were left by an earlier call
  int64_t decoded_tokens = 0;
  double prefill_seconds = 0, decode_seconds = 0;
};

struct GenerateResult {
  std::vector<GeneratedSequence> sequences;  // prompt-major: prompt * n + sample
  GenerateStatistics statistics;
};

// `prompt_keys[p]` identifies prompt p to the random numbers (the sample for (seed, key, i) does not
// depend on what else is in the batch). Throws ERR_PROMPT_EMPTY, ERR_TOKEN_RANGE, ERR_CONTEXT_LENGTH,
// ERR_MEMORY_PLAN.
GenerateResult generate(Model& model, std::span<const int32_t> tokens, std::span<const int64_t> offsets,
                        std::span<const uint64_t> prompt_keys, const SamplingOptions& sampling,
                        const TokenBytes& token_bytes, const GenerateLimits& limits,
                        const CancelToken& cancel, const Progress& progress);

}  // namespace winnow
