#include "sample/generate.h"

#include <algorithm>
#include <cmath>

#include "model/room.h"
#include "model/workspace.h"
#include "sample/generate_loop.h"

namespace winnow {
namespace {

void require_option(bool holds, const char* option, const char* expected, double received) {
  if (!holds)
    throw Error("ERR_OPTION", std::string("[generate] ") + option + " is not usable", expected,
                std::to_string(received));
}

void require_options(const SamplingOptions& sampling, const TokenBytes& token_bytes,
                     const GenerateLimits& limits) {
  require_option(sampling.max_tokens >= 1, "max_tokens", "at least 1", sampling.max_tokens);
  require_option(sampling.temperature >= 0 && std::isfinite(sampling.temperature), "temperature", "0 or more",
                 static_cast<double>(sampling.temperature));
  require_option(sampling.top_k >= 0, "top_k", "0 or more", sampling.top_k);
  require_option(sampling.top_p > 0 && sampling.top_p <= 1, "top_p", "more than 0, at most 1",
                 static_cast<double>(sampling.top_p));
  require_option(sampling.min_p >= 0 && sampling.min_p <= 1, "min_p", "0 to 1",
                 static_cast<double>(sampling.min_p));
  require_option(sampling.completions_per_prompt >= 1, "completions_per_prompt", "at least 1",
                 sampling.completions_per_prompt);
  require_option(limits.max_batch >= 1, "max_batch", "at least 1", limits.max_batch);
  require_option(limits.max_prefix_bytes >= 0, "max_prefix_bytes", "0 or more",
                 static_cast<double>(limits.max_prefix_bytes));
  require_option(limits.max_activation_bytes >= 0, "max_activation_bytes", "0 or more",
                 static_cast<double>(limits.max_activation_bytes));
  require_option(limits.prefill_tokens >= 1, "prefill_tokens", "at least 1", limits.prefill_tokens);
  for (const std::string& string : sampling.stop_strings)
    require_option(!string.empty(), "a stop string", "at least one byte", 0);
  require_option(sampling.stop_strings.empty() || !token_bytes.empty(), "token_bytes",
                 "the bytes of every token, because there are stop strings", 0);
}

void require_prompts(const Sequences& prompts, std::span<const uint64_t> prompt_keys,
                     const ModelConfig& config) {
  require_offsets("generate", prompts);
  if (prompt_keys.size() != prompts.count())
    throw Error("ERR_SHAPE", "[generate] the prompt keys do not fit the prompts",
                std::to_string(prompts.count()) + " keys", std::to_string(prompt_keys.size()));
  for (size_t index = 0; index < prompts.count(); ++index)
    if (prompts.length(index) == 0)
      throw Error("ERR_PROMPT_EMPTY", "[generate] prompt " + std::to_string(index) + " is empty",
                  "at least one token", "none");
  require_sequences("generate", prompts, config, config.max_positions - 1);
}

// Blocks for all that can be in work at once, or as many as the limit allows.
int64_t plan_blocks(const PromptTree& tree, const GenerateRequest& request, const ModelConfig& config) {
  int64_t longest_path = 0, longest_row = 0, least = 0;
  size_t hardest = 0;
  for (size_t prompt = 0; prompt < request.prompts.count(); ++prompt) {
    const int64_t path = tree.path_blocks(prompt), row = request.row_blocks(config, prompt);
    longest_path = std::max(longest_path, path);
    longest_row = std::max(longest_row, row);
    if (path + row > least) least = path + row, hardest = prompt;
  }
  const auto block_bytes = static_cast<int64_t>(KeyValueStore::size_bytes(config, 1));
  if (least * block_bytes > request.limits.max_kv_bytes)
    throw Error("ERR_MEMORY_PLAN",
                "[generate] the KV store cannot hold one completion of prompt " + std::to_string(hardest),
                "at most " + std::to_string(request.limits.max_kv_bytes) + " bytes (max_kv_bytes)",
                std::to_string(least * block_bytes) + " bytes: " + std::to_string(least) + " blocks of " +
                    std::to_string(block_bytes) + " bytes for " +
                    std::to_string(request.prompts.length(hardest)) + " prompt tokens and up to " +
                    std::to_string(request.room(config, hardest)) + " new ones",
                "raise max_kv_bytes, or lower max_tokens");
  const int64_t completions = request.sampling.completions_per_prompt;
  const int64_t rows = std::min<int64_t>(request.limits.max_batch,
                                         static_cast<int64_t>(request.prompts.count()) * completions);
  const int64_t wanted = std::min(tree.total_blocks(), (rows + 1) * longest_path) + rows * longest_row;
  return std::min(wanted, request.limits.max_kv_bytes / block_bytes);
}

// Rows that the call may come to compute, or as many as the limit allows.
int64_t plan_activation_rows(const PromptTree& tree, const GenerateRequest& request,
                             const ModelConfig& config) {
  auto rows = static_cast<int64_t>(tree.forest().tokens.size());
  for (size_t prompt = 0; prompt < request.prompts.count(); ++prompt)
    rows += request.sampling.completions_per_prompt * (request.room(config, prompt) - 1);
  while (rows > 0 && ActivationCache::size_bytes(config, rows) > request.limits.max_activation_bytes)
    rows -= (rows + 63) / 64;
  return rows;
}

}  // namespace

GenerateResult generate(Model& model, std::span<const int32_t> tokens, std::span<const int64_t> offsets,
                        std::span<const uint64_t> prompt_keys, const SamplingOptions& sampling,
                        const TokenBytes& token_bytes, const GenerateLimits& limits,
                        const CancelToken& cancel, const Progress& progress) {
  const Sequences prompts{tokens, offsets};
  require_prompts(prompts, prompt_keys, model.config());
  require_options(sampling, token_bytes, limits);
  const GenerateRequest request{prompts, prompt_keys, sampling, token_bytes, limits};
  PromptTree tree(prompts, sampling.completions_per_prompt);
  const int64_t blocks = plan_blocks(tree, request, model.config());
  model.workspace().activation_cache().start(plan_activation_rows(tree, request, model.config()));
  if (limits.max_prefix_bytes > 0) {
    PrefixCache& cache = model.workspace().prefix_cache();
    KeyValueStore& store = cache.begin(
        blocks, limits.max_prefix_bytes / static_cast<int64_t>(KeyValueStore::size_bytes(model.config(), 1)));
    tree.match(cache);
    return GenerateLoop(model, store, std::move(tree), request, cancel, progress).run();
  }
  require_memory(model.context(), model.ops(),
                 static_cast<int64_t>(KeyValueStore::size_bytes(model.config(), blocks)),
                 "KV store of " + std::to_string(blocks) + " blocks", "lower max_batch or max_kv_bytes");
  KeyValueStore store(model.context(), model.ops(), model.config(), blocks);
  return GenerateLoop(model, store, std::move(tree), request, cancel, progress).run();
}

}  // namespace winnow
