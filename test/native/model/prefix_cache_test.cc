// Prompts that begin like earlier ones: less is computed, and no bit of any result changes.
#include "model/prefix_cache.h"

#include <numeric>

#include "model/workspace.h"
#include "tiny_model.h"

namespace winnow::test {
namespace {

constexpr int64_t kPlenty = 1 << 24;

SamplingOptions sampling_options() {
  SamplingOptions options;
  options.max_tokens = 9;
  options.completions_per_prompt = 2;
  options.seed = 8;
  options.stop_tokens = {5};
  return options;
}

bool same(const std::vector<GeneratedSequence>& a, const std::vector<GeneratedSequence>& b) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); ++i)
    same = a[i].tokens == b[i].tokens && a[i].stop == b[i].stop && same_bits(a[i].logprobs, b[i].logprobs);
  return same;
}

// Prompts cut and continued at random from a few long ones, as the steps of an elimination would be.
TokenLists related_prompts(Random& random, const std::vector<std::vector<int32_t>>& trunks,
                           int64_t vocabulary) {
  TokenLists prompts;
  const int64_t count = random.integer(1, 6);
  for (int64_t p = 0; p < count; ++p) {
    const auto& trunk = trunks[static_cast<size_t>(random.integer(0, static_cast<int64_t>(trunks.size())))];
    const int64_t kept = random.integer(1, static_cast<int64_t>(trunk.size()) + 1);
    std::vector<int32_t> prompt(trunk.begin(), trunk.begin() + kept);
    const auto more =
        random_tokens(random, random.integer(0, 3) == 0 ? 0 : random.integer(0, 20), vocabulary);
    prompt.insert(prompt.end(), more.begin(), more.end());
    prompts.add(prompt);
  }
  return prompts;
}

void check_related_prompts(const Ops& ops, const std::string& architecture) {
  TinyModel tiny(ops, architecture, DType::kF32, 2), alone(ops, architecture, DType::kF32, 2);
  Random random("prefix cache " + architecture);
  const int64_t vocabulary = tiny.model.config().vocabulary;
  std::vector<std::vector<int32_t>> trunks;
  for (const int64_t length : {50, 33, 16}) trunks.push_back(random_tokens(random, length, vocabulary));
  const auto block_bytes = static_cast<int64_t>(KeyValueStore::size_bytes(tiny.model.config(), 1));
  int64_t known = 0;
  for (int call = 0; call < 40; ++call) {
    const TokenLists prompts = related_prompts(random, trunks, vocabulary);
    // Now and then with next to no room, so that prefixes are evicted.
    const int64_t room = call % 3 == 2 ? random.integer(1, 12) * block_bytes : kPlenty;
    const GenerateLimits limits{.max_batch = static_cast<int>(random.integer(1, 5)),
                                .max_kv_bytes = call % 4 == 3 ? 16 * block_bytes : kPlenty,
                                .prefill_tokens = static_cast<int>(random.integer(1, 40)),
                                .max_prefix_bytes = room};
    const GenerateResult result = generate(tiny.model, prompts, sampling_options(), limits);
    const GenerateResult expected = generate(alone.model, prompts, sampling_options());
    EXPECT(same(result.sequences, expected.sequences), architecture, ", call ", call);
    const GenerateStatistics& statistics = result.statistics;
    EXPECT(
        statistics.known_prompt_tokens + statistics.prefilled_tokens == expected.statistics.prefilled_tokens,
        "every token of the forest is known or computed");
    EXPECT(tiny.model.workspace().prefix_cache().kept_blocks() * block_bytes <= room, "the limit, call ",
           call);
    known += statistics.known_prompt_tokens;
  }
  EXPECT(known > 150, "prefixes were found: ", known);
}

const int registered = [] {
  add_model_tests("model/prefix cache/related prompts", [](const Ops& ops) {
    for (const std::string& architecture : tiny_architectures()) check_related_prompts(ops, architecture);
  });
  return 0;
}();

TEST("model/prefix cache/the same prompts again cost their last tokens") {
  TinyModel tiny(cpu_ops(), "qwen2");
  const TokenLists prompts(
      {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}, {1, 2, 3, 4}, {7}});
  const GenerateLimits limits{.max_prefix_bytes = kPlenty};
  EXPECT(generate(tiny.model, prompts, sampling_options(), limits).statistics.prefilled_tokens == 19,
         "first");
  EXPECT(generate(tiny.model, prompts, sampling_options(), limits).statistics.prefilled_tokens == 3, "again");
  const GenerateStatistics without = generate(tiny.model, prompts, sampling_options()).statistics;
  EXPECT(without.prefilled_tokens == 19 && without.known_prompt_tokens == 0, "only when asked for");
  const TokenLists longer({{1, 2, 3, 4, 5, 6, 7, 30, 31}});
  EXPECT(generate(tiny.model, longer, sampling_options(), limits).statistics.prefilled_tokens == 2,
         "a path that leaves another in the middle");
  EXPECT(generate(tiny.model, longer, sampling_options(), limits).statistics.prefilled_tokens == 1,
         "and is kept");
}

TEST("model/prefix cache/is forgotten when the weights change") {
  TinyModel tiny(cpu_ops(), "llama");
  const TokenLists prompts({{1, 2, 3, 4, 5, 6, 7}});
  const GenerateLimits limits{.max_prefix_bytes = kPlenty};
  generate(tiny.model, prompts, sampling_options(), limits);
  tiny.model.initialise(77, 0.15f);
  EXPECT(generate(tiny.model, prompts, sampling_options(), limits).statistics.known_prompt_tokens == 0,
         "new weights");
  EXPECT(generate(tiny.model, prompts, sampling_options(), limits).statistics.known_prompt_tokens == 6,
         "kept again");
}

TEST("model/prefix cache/what a call is done with makes room for what it comes to") {
  TinyModel tiny(cpu_ops(), "qwen2");
  Random random("three prompts");
  std::vector<std::vector<int32_t>> prompts;
  for (int32_t first = 0; first < 3; ++first) {
    prompts.push_back(random_tokens(random, 3 * kKeyBlock, 37));
    prompts.back().front() = first;
  }
  const auto block_bytes = static_cast<int64_t>(KeyValueStore::size_bytes(tiny.model.config(), 1));
  const GenerateLimits limits{.max_batch = 1, .max_prefix_bytes = 4 * block_bytes};
  const auto known = [&](const TokenLists& lists) {
    return generate(tiny.model, lists, sampling_options(), limits).statistics.known_prompt_tokens;
  };
  EXPECT(known(TokenLists({prompts[0], prompts[1], prompts[2]})) == 0, "first");
  EXPECT(known(TokenLists({prompts[2]})) == 3 * kKeyBlock - 1, "the last one stayed");
  EXPECT(known(TokenLists({prompts[0]})) == 0, "the first one made room");
}

std::vector<int32_t> counted(int32_t first, int32_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

TEST("model/prefix cache/what is held stays, in both halves of a node that is split") {
  TinyModel tiny(cpu_ops(), "qwen2");
  PrefixCache& cache = tiny.model.workspace().prefix_cache();
  KeyValueStore& store = cache.begin(8, 4);
  const auto adopt = [&](PrefixHold at, const std::vector<int32_t>& tokens, int64_t blocks) {
    BlockLease lease(store);
    lease.take(blocks);
    return cache.adopt(at, tokens, lease);
  };
  const auto known = [&](const std::vector<int32_t>& tokens) {
    const PrefixHold hold = cache.match(kNoPrefix, tokens);
    const int32_t position = cache.position(hold);
    cache.release(hold);
    return position;
  };
  const auto whole = counted(0, 2 * kKeyBlock);
  const auto end = adopt(kNoPrefix, whole, 2);
  EXPECT(end.has_value() && cache.position(*end) == 2 * kKeyBlock, "adopted");
  const PrefixHold middle = cache.match(kNoPrefix, counted(0, kKeyBlock));
  const auto branch = adopt(middle, counted(100, kKeyBlock), 1);  // splits the node in the middle
  EXPECT(branch.has_value() && cache.position(middle) == kKeyBlock, "a branch");
  EXPECT(cache.runs(*end, 2 * kKeyBlock).size() == 2 && cache.position(*end) == 2 * kKeyBlock,
         "the lower half");
  cache.release(middle);
  EXPECT(!adopt(kNoPrefix, counted(500, 2 * kKeyBlock), 2).has_value(), "all of it is held");
  cache.release(*end);
  EXPECT(adopt(kNoPrefix, counted(500, 2 * kKeyBlock), 2).has_value(), "the lower half makes room");
  EXPECT(known(whole) == kKeyBlock, "the upper half leads to the branch that is held");
  cache.release(*branch);
  EXPECT(adopt(kNoPrefix, counted(700, 2 * kKeyBlock), 2).has_value(), "both others make room");
  EXPECT(known(whole) == 0 && known(counted(500, 2 * kKeyBlock)) == 2 * kKeyBlock, "the oldest went first");
  EXPECT(cache.kept_blocks() == 4, cache.kept_blocks());
}

TEST("model/prefix cache/what was let go first makes room first") {
  TinyModel tiny(cpu_ops(), "qwen2");
  PrefixCache& cache = tiny.model.workspace().prefix_cache();
  KeyValueStore& store = cache.begin(4, 2);
  const auto adopt = [&](int32_t first) {
    BlockLease lease(store);
    lease.take(1);
    return cache.adopt(kNoPrefix, counted(first, kKeyBlock), lease).value();
  };
  const PrefixHold one = adopt(0), two = adopt(100);
  cache.release(two);
  cache.release(one);
  adopt(200);
  EXPECT(cache.position(cache.match(kNoPrefix, counted(0, kKeyBlock))) == kKeyBlock, "let go last");
  EXPECT(cache.position(cache.match(kNoPrefix, counted(100, kKeyBlock))) == 0, "let go first");
}

TEST("model/prefix cache/survives an abort in the middle of a call") {
  TinyModel tiny(cpu_ops(), "qwen3"), alone(cpu_ops(), "qwen3");
  Random random("aborted prefixes");
  const TokenLists prompts({random_tokens(random, 40, 37), random_tokens(random, 30, 37)});
  const GenerateLimits limits{.max_batch = 1, .prefill_tokens = 7, .max_prefix_bytes = kPlenty};
  const std::vector<uint64_t> keys{0, 1};
  for (int64_t after = 0; after < 30; after += 3) {
    CancelToken cancel;
    const Progress stop = [&](int64_t done, int64_t) {
      if (done > after) cancel.cancel();
    };
    expect_error("ERR_ABORTED", [&] {
      winnow::generate(tiny.model, prompts.tokens, prompts.offsets, keys, sampling_options(), {}, limits,
                       cancel, stop);
    });
    const GenerateResult result = generate(tiny.model, prompts, sampling_options(), limits);
    EXPECT(same(result.sequences, generate(alone.model, prompts, sampling_options()).sequences), "after ",
           after);
  }
}

}  // namespace
}  // namespace winnow::test
