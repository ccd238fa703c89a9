// The generate loop: where completions stop, what is refused, what the KV store holds before and after.
#include <cmath>
#include <numeric>

#include "sample/generate_loop.h"
#include "tiny_model.h"

namespace winnow::test {
namespace {

SamplingOptions greedy(int max_tokens) {
  SamplingOptions options;
  options.max_tokens = max_tokens;
  options.temperature = 0;
  return options;
}

using Lists = std::vector<std::vector<int32_t>>;
const TokenLists kPrompt(Lists{{3, 1, 4, 1, 5}});

TEST("model/generate/stops at a stop token, the length or the end of the context") {
  TinyModel tiny(cpu_ops(), "qwen2");
  const GeneratedSequence whole = generate(tiny.model, kPrompt, greedy(12)).sequences[0];
  EXPECT(whole.tokens.size() == 12 && whole.stop == StopReason::kLength, "length");

  SamplingOptions options = greedy(12);
  options.stop_tokens = {1000, whole.tokens[4]};
  const auto first = std::ranges::find(whole.tokens, whole.tokens[4]);
  const GeneratedSequence stopped = generate(tiny.model, kPrompt, options).sequences[0];
  EXPECT(stopped.stop == StopReason::kStopToken, "stop token");
  EXPECT(stopped.tokens == std::vector<int32_t>(whole.tokens.begin(), first + 1),
         "the stop token is the last");
  EXPECT(stopped.logprobs.size() == stopped.tokens.size(), "one log-probability a token");
  options.ignore_stop_tokens = true;
  EXPECT(generate(tiny.model, kPrompt, options).sequences[0].tokens == whole.tokens, "ignored");

  const int64_t positions = tiny.model.config().max_positions;
  Random random("long prompt");
  const auto fill = [&](int64_t length) {
    return generate(tiny.model, TokenLists(Lists{random_tokens(random, length, 37)}), greedy(12))
        .sequences[0];
  };
  const GeneratedSequence full = fill(positions - 3);
  EXPECT(full.tokens.size() == 3 && full.stop == StopReason::kContext, "three positions were left");
  EXPECT(fill(positions - 1).tokens.size() == 1, "one position was left");
  EXPECT(fill(positions - 12).stop == StopReason::kLength, "length wins when both end together");
}

TEST("model/generate/stop strings match across tokens, and only in the completion") {
  TinyModel tiny(cpu_ops(), "qwen2");
  const GeneratedSequence whole = generate(tiny.model, kPrompt, greedy(12)).sequences[0];
  TokenBytes bytes(30);  // shorter than the vocabulary: padding rows have no bytes
  for (size_t token = 0; token < bytes.size(); ++token)
    bytes[token] = "<" + std::to_string(token) + ">\xc3\xa9";
  std::string completion;
  const auto piece = [&](int32_t token) {
    return static_cast<size_t>(token) < bytes.size() ? bytes[static_cast<size_t>(token)] : std::string();
  };
  for (const int32_t token : whole.tokens) completion += piece(token);

  SamplingOptions options = greedy(12);
  options.stop_strings = {"not in there", completion.substr(3, 8)};
  const GeneratedSequence stopped = generate(tiny.model, kPrompt, options, {}, {}, bytes).sequences[0];
  EXPECT(stopped.stop == StopReason::kStopString, "stop string");
  std::string text_so_far;
  size_t expected = 0;
  while (text_so_far.find(options.stop_strings[1]) == std::string::npos)
    text_so_far += piece(whole.tokens[expected++]);
  EXPECT(expected > 1, "the match spans tokens");
  EXPECT(stopped.tokens.size() == expected,
         "the token that completes the match is the last: ", stopped.tokens.size(), " not ", expected);
  options.stop_strings = {"not in there", "<3>\xc3\xa9<1>\xc3\xa9<4>"};  // of the prompt
  EXPECT(generate(tiny.model, kPrompt, options, {}, {}, bytes).sequences[0].tokens == whole.tokens,
         "prompt text");
}

TEST("model/generate/StopStrings keeps what a match may begin in") {
  const StopStrings stops({"abc", "x"});
  std::string tail;
  EXPECT(!stops.completes(tail, "ab") && !stops.completes(tail, "") && stops.completes(tail, "c"), "a|b|c");
  EXPECT(!stops.completes(tail, "aab") && tail.size() == 2, "two bytes are enough");
  EXPECT(stops.completes(tail, "yyxyy"), "inside one token");
}

void expect_refusal(Model& model, const std::string& code, const TokenLists& prompts,
                    void (*change)(SamplingOptions&, GenerateLimits&)) {
  SamplingOptions options = greedy(4);
  GenerateLimits limits;
  change(options, limits);
  expect_error(code, [&] { generate(model, prompts, options, limits); });
}

TEST("model/generate/refuses bad requests before any work") {
  TinyModel tiny(cpu_ops(), "llama");
  const auto fine = [](SamplingOptions&, GenerateLimits&) {};
  expect_refusal(tiny.model, "ERR_PROMPT_EMPTY", TokenLists(Lists{{1}, {}}), fine);
  expect_refusal(tiny.model, "ERR_TOKEN_RANGE", TokenLists(Lists{{1, 37}}), fine);
  expect_refusal(tiny.model, "ERR_TOKEN_RANGE", TokenLists(Lists{{-1}}), fine);
  expect_refusal(tiny.model, "ERR_CONTEXT_LENGTH", TokenLists(Lists{std::vector<int32_t>(96, 1)}), fine);
  using S = SamplingOptions;
  using L = GenerateLimits;
  for (const auto change : std::initializer_list<void (*)(S&, L&)>{
           [](S& s, L&) { s.max_tokens = 0; }, [](S& s, L&) { s.temperature = -1; },
           [](S& s, L&) { s.temperature = std::nanf(""); }, [](S& s, L&) { s.top_k = -1; },
           [](S& s, L&) { s.top_p = 0; }, [](S& s, L&) { s.min_p = 2; },
           [](S& s, L&) { s.completions_per_prompt = 0; }, [](S& s, L&) { s.stop_strings = {""}; },
           [](S& s, L&) { s.stop_strings = {"no token bytes"}; }, [](S&, L& l) { l.max_batch = 0; },
           [](S&, L& l) { l.prefill_tokens = 0; }})
    expect_refusal(tiny.model, "ERR_OPTION", kPrompt, change);
  expect_error("ERR_SHAPE", [&] { generate(tiny.model, kPrompt, greedy(4), {}, {1, 2}); });
  const std::string message = expect_error(
      "ERR_MEMORY_PLAN", [&] { generate(tiny.model, kPrompt, greedy(40), {.max_kv_bytes = 1000}); });
  EXPECT(message.find("prompt 0") != std::string::npos, message);
  EXPECT(generate(tiny.model, TokenLists(), greedy(4)).sequences.empty(), "no prompts, no completions");
}

TEST("model/generate/a shared prefix is computed once, across prompts and completions") {
  TinyModel tiny(cpu_ops(), "qwen3");
  const TokenLists prompts(Lists{{1, 2, 3, 4, 5}, {1, 2, 3, 9}, {1, 2, 3, 4, 5}, {1, 2}});
  SamplingOptions options = greedy(3);
  options.completions_per_prompt = 4;
  const GenerateStatistics statistics = generate(tiny.model, prompts, options).statistics;
  EXPECT(statistics.prompt_tokens == 16 && statistics.prefilled_tokens == 6, statistics.prefilled_tokens);
  EXPECT(statistics.decoded_tokens == 4 * 4 * 3, statistics.decoded_tokens);
}

// A loop over a store that the test can look into.
struct OpenLoop {
  explicit OpenLoop(int64_t blocks, int completions = 3)
      : tiny(cpu_ops(), "qwen2"), store(tiny.context, cpu_ops(), tiny.model.config(), blocks) {
    Random random("open loop");
    const auto common = random_tokens(random, 18, 37);
    for (int p = 0; p < 6; ++p) {
      auto prompt = common;
      const auto more = random_tokens(random, p * 3, 37);
      prompt.insert(prompt.end(), more.begin(), more.end());
      prompts.add(prompt);
      keys.push_back(static_cast<uint64_t>(p));
    }
    sampling.max_tokens = 20;
    sampling.completions_per_prompt = completions;
    sampling.stop_tokens = {1, 2, 3};
    limits.max_batch = 7;
  }

  GenerateResult run(const CancelToken& cancel, const Progress& progress) {
    const Sequences sequences{prompts.tokens, prompts.offsets};
    const GenerateRequest request{sequences, keys, sampling, token_bytes, limits};
    return GenerateLoop(tiny.model, store, PromptTree(sequences, sampling.completions_per_prompt), request,
                        cancel, progress)
        .run();
  }

  TinyModel tiny;
  KeyValueStore store;
  TokenLists prompts;
  std::vector<uint64_t> keys;
  SamplingOptions sampling;
  TokenBytes token_bytes;
  GenerateLimits limits;
};

TEST("model/generate/every block is free again, also after an abort or an exception") {
  for (const int64_t blocks : {9, 14, 60}) {
    OpenLoop loop(blocks);
    int64_t least_free = blocks;
    const auto watch = [&](int64_t, int64_t) { least_free = std::min(least_free, loop.store.free_blocks()); };
    const GenerateResult result = loop.run(CancelToken(), watch);
    EXPECT(result.sequences.size() == 18, "all rows were admitted");
    for (const GeneratedSequence& sequence : result.sequences)
      EXPECT(!sequence.tokens.empty(), "all were finished");
    EXPECT(loop.store.free_blocks() == blocks, "free again: ", loop.store.free_blocks());
    EXPECT(least_free < blocks, "and were in use");

    CancelToken cancel;
    expect_error("ERR_ABORTED", [&] {
      loop.run(cancel, [&](int64_t done, int64_t) {
        if (done > 10) cancel.cancel();
      });
    });
    EXPECT(loop.store.free_blocks() == blocks, "free after an abort");
    try {
      loop.run(CancelToken(), [](int64_t done, int64_t) {
        if (done > 10) throw std::runtime_error("from outside");
      });
      fail("nothing was thrown");
    } catch (const std::runtime_error& error) {
      EXPECT(std::string(error.what()) == "from outside", error.what());
    }
    EXPECT(loop.store.free_blocks() == blocks, "free after an exception");
  }
}

TEST("model/generate/progress counts up to its bound") {
  OpenLoop loop(60);
  loop.sampling.stop_tokens.clear();
  int64_t last = 0, bound = 0;
  loop.run(CancelToken(), [&](int64_t done, int64_t total) {
    EXPECT(done > last, "progress");
    last = done;
    bound = total;
  });
  EXPECT(last == 18 * 20 && bound == last, last, " of ", bound);
}

// The draw at (seed, key, sample, position) chooses from the model's own distribution: frequencies of
// many first tokens against probabilities from score.
TEST("model/generate/samples the distribution that score reports") {
  TinyModel tiny(cpu_ops(), "llama");
  SamplingOptions options;
  options.max_tokens = 1;
  options.completions_per_prompt = 4000;
  options.temperature = 1.3f;
  std::vector<double> counts(37);
  for (const GeneratedSequence& sequence : generate(tiny.model, kPrompt, options).sequences)
    ++counts[static_cast<size_t>(sequence.tokens[0])];
  TokenLists next;
  for (int32_t token = 0; token < 37; ++token) next.add({3, 1, 4, 1, 5, token});
  const std::vector<float> logprobs = score(tiny.model, next, {.temperature = options.temperature});
  double chi_squared = 0, total = 0;
  for (size_t token = 0; token < 37; ++token) {
    const double probability = std::exp(static_cast<double>(logprobs[token * 6 + 5])),
                 expected = 4000 * probability;
    total += probability;
    chi_squared += (counts[token] - expected) * (counts[token] - expected) / expected;
  }
  EXPECT(std::abs(total - 1) < 1e-6, "probabilities of all tokens add up to 1: ", total);
  EXPECT(chi_squared < 79.0, "chi squared with 36 degrees, 1e-4 quantile 79: ", chi_squared);
}

}  // namespace
}  // namespace winnow::test
