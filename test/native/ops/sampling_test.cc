// Sampling against a sort-based double oracle of its own, and against the distribution it promises.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/philox.h"
#include "op_test.h"

namespace winnow::test {
namespace {

struct Drawn {
  int64_t token;
  double logprob;
  bool clear;  // no threshold is so near that f32 masses may fall on its other side
};

bool apart(double a, double b) { return std::fabs(a - b) > 2e-5 * std::max(std::fabs(a), std::fabs(b)); }

// The contract of Ops::sample, word by word: sort, filter, renormalise, walk.
Drawn oracle(const Array& logits, int64_t row, const SampleRow& options, double u) {
  const int64_t vocabulary = logits.shape[1];
  const double temperature = options.temperature == 0 ? 1 : static_cast<double>(options.temperature);
  std::vector<std::pair<double, int64_t>> sorted;
  for (int64_t v = 0; v < vocabulary; ++v)
    sorted.emplace_back(-logits.number(row * vocabulary + v) / temperature, v);
  std::sort(sorted.begin(), sorted.end());
  const double lowest = sorted[0].first;
  double whole = 0, total = 0, before = 0, kept_total = 0, running = 0;
  for (const auto& [z, v] : sorted) whole += std::exp(lowest - z);
  const auto logprob_of = [&](double z) { return lowest - z - std::log(whole); };
  if (options.temperature == 0) return {sorted[0].second, logprob_of(lowest), true};
  if (options.top_k > 0 && options.top_k < vocabulary) sorted.resize(static_cast<size_t>(options.top_k));
  for (const auto& [z, v] : sorted) total += std::exp(lowest - z);
  bool clear = true;
  std::vector<std::pair<int64_t, double>> kept;
  for (const auto& [z, v] : sorted) {
    const double mass = std::exp(lowest - z), nucleus = static_cast<double>(options.top_p) * total;
    if (options.top_p < 1 && before > 0) clear = clear && apart(before, nucleus);
    if (options.min_p > 0 && mass < 1) clear = clear && apart(mass, static_cast<double>(options.min_p));
    const bool in_nucleus = options.top_p >= 1 || before == 0 || before < nucleus;
    if (in_nucleus && mass >= static_cast<double>(options.min_p)) kept.emplace_back(v, z);
    before += mass;
  }
  std::sort(kept.begin(), kept.end());
  for (const auto& [v, z] : kept) kept_total += std::exp(lowest - z);
  for (const auto& [v, z] : kept) {
    running += std::exp(lowest - z);
    clear = clear && std::fabs(running - u * kept_total) > 2e-5 * kept_total;
    if (running > u * kept_total) return {v, logprob_of(z), clear};
  }
  return {kept.back().first, logprob_of(kept.back().second), false};
}

double uniform_of(const SampleRow& row) {
  return static_cast<double>(sampling_uniform(row.seed, row.prompt, row.sample, row.position));
}

struct Samples {
  Array tokens, logprob;
};

Samples draw(const Ops& ops, const Array& logits, const std::vector<SampleRow>& rows, int threads = 2) {
  const int64_t m = logits.shape[0];
  const OpCase call{
      "sample",
      {set("tokens", {m}, {}).as(DType::kI32), set("logprob", {m}, {}), input("logits", logits.shape)},
      [&rows](const Ops& table, Context& context, const std::vector<View>& v) {
        table.sample(context, v[0], v[1], v[2], rows.data());
        return std::vector<double>{};
      }};
  std::vector<Array> arrays = make_arrays(call);
  arrays[2] = logits;
  ThreadPool pool(threads);
  Outcome outcome = run_case(ops, pool, call, arrays);
  return {outcome.arrays[0], outcome.arrays[1]};
}

// `kind` 0: spread; 1: many ties; 2: many of -infinity.
Array random_logits(int64_t rows, int64_t vocabulary, int kind) {
  Array logits{
      DType::kF32, {rows, vocabulary}, std::vector<std::byte>(static_cast<size_t>(rows * vocabulary * 4))};
  Random random(text("logits", vocabulary, kind));
  for (int64_t i = 0; i < logits.size(); ++i) {
    double value = random.uniform(-3, 3) + random.uniform(-3, 3);
    if (kind == 1) value = std::round(value);
    if (kind == 2 && i % vocabulary != 0 && random.bits() % 3 != 0)
      value = -std::numeric_limits<double>::infinity();
    logits.set_number(i, value);
  }
  return logits;
}

std::vector<SampleRow> option_grid() {
  std::vector<SampleRow> rows;
  for (const float temperature : {0.0f, 0.7f, 1.0f, 2.0f})
    for (const int32_t top_k : {0, 1, 5, 50, 100000})
      for (const float top_p : {1.0f, 0.9f, 0.3f, 0.0f})
        for (const float min_p : {0.0f, 0.05f, 0.5f, 1.0f})
          rows.push_back({temperature, top_k, top_p, min_p, 7, rows.size(), 3, 11});
  return rows;
}

void check_against_oracle(const Ops& ops) {
  const std::vector<SampleRow> grid = option_grid();
  int64_t unclear = 0, all = 0;
  for (const int64_t vocabulary : {1, 2, 33, 300, 5003, 9000})
    for (int kind = 0; kind < 3; ++kind) {
      const int64_t rows = vocabulary > 1000 ? 80 : static_cast<int64_t>(grid.size());
      std::vector<SampleRow> options;  // an odd stride visits every option of the grid's four axes
      for (int64_t m = 0; m < rows; ++m) options.push_back(grid[static_cast<size_t>(m * 37) % grid.size()]);
      const Array logits = random_logits(rows, vocabulary, kind);
      const Samples got = draw(ops, logits, options);
      for (int64_t m = 0; m < rows; ++m) {
        const SampleRow& o = options[static_cast<size_t>(m)];
        const Drawn expected = oracle(logits, m, o, uniform_of(o));
        const std::string what =
            text("V=", vocabulary, " kind ", kind, " row ", m, " temperature ", o.temperature, " top_k ",
                 o.top_k, " top_p ", o.top_p, " min_p ", o.min_p);
        ++all;
        unclear += !expected.clear;
        if (!expected.clear && got.tokens.number(m) != static_cast<double>(expected.token)) continue;
        EXPECT(got.tokens.number(m) == static_cast<double>(expected.token), what, ": token ",
               got.tokens.number(m), ", the oracle draws ", expected.token);
        EXPECT(std::fabs(got.logprob.number(m) - expected.logprob) < 1e-5 * (1 + std::fabs(expected.logprob)),
               what, ": logprob ", got.logprob.number(m), ", expected ", expected.logprob);
      }
    }
  EXPECT(unclear * 50 < all, unclear, " of ", all, " draws are too near a threshold to tell");
}

// The sampled log-probability is the one that training computes, bit for bit.
void check_on_policy(const Ops& ops) {
  for (const int64_t vocabulary : {33, 5003}) {
    const std::vector<SampleRow> rows(21, {0.7f, 0, 1.0f, 0.0f, 5, 9, 2, 4});
    const Array logits = random_logits(21, vocabulary, 0);
    const Samples sampled = draw(ops, logits, rows);
    const OpCase call{"statistics",
                      {set("lse", {21}, {}), set("logprob", {21}, {}), set("entropy", {21}, {}),
                       input("logits", logits.shape), indices("targets", 21, vocabulary)},
                      [](const Ops& table, Context& context, const std::vector<View>& v) {
                        table.softmax_statistics(context, v[0], v[1], v[2], v[3], v[4], 1.0f / 0.7f);
                        return std::vector<double>{};
                      }};
    std::vector<Array> arrays = make_arrays(call);
    arrays[3] = logits;
    arrays[4] = sampled.tokens;
    ThreadPool pool(2);
    check_same_bits("logprob of sampling and of training", sampled.logprob,
                    run_case(ops, pool, call, arrays).arrays[1]);
  }
}

// Equal draws alone, in a batch and on any number of threads.
void check_independence(const Ops& ops) {
  std::vector<SampleRow> grid = option_grid();
  grid.resize(160);
  const Array logits = random_logits(160, 5003, 0);
  const Samples whole = draw(ops, logits, grid, 1);
  for (const int threads : {2, 3}) {
    const Samples got = draw(ops, logits, grid, threads);
    check_same_bits("tokens", got.tokens, whole.tokens);
    check_same_bits("logprob", got.logprob, whole.logprob);
  }
  for (size_t m = 0; m < 160; m += 13) {
    const auto begin = logits.bytes.begin() + static_cast<int64_t>(m) * 5003 * 4;
    const Samples alone = draw(ops, {DType::kF32, {1, 5003}, {begin, begin + 5003 * 4}}, {grid[m]});
    EXPECT(alone.tokens.number(0) == whole.tokens.number(static_cast<int64_t>(m)), "token of row ", m,
           " alone");
    EXPECT(alone.logprob.number(0) == whole.logprob.number(static_cast<int64_t>(m)), "logprob of row ", m,
           " alone");
  }
}

// Pearson's statistic of 20000 draws (positions 0, 1, ...) against `probabilities`.
double chi_square(const Ops& ops, const std::vector<double>& logits, SampleRow options,
                  const std::vector<double>& probabilities) {
  constexpr int64_t kDraws = 20000;
  const auto vocabulary = static_cast<int64_t>(logits.size());
  Array repeated{DType::kF32,
                 {kDraws, vocabulary},
                 std::vector<std::byte>(static_cast<size_t>(kDraws * vocabulary * 4))};
  std::vector<SampleRow> rows;
  for (int64_t m = 0; m < kDraws; ++m) {
    for (int64_t v = 0; v < vocabulary; ++v)
      repeated.set_number(m * vocabulary + v, logits[static_cast<size_t>(v)]);
    options.position = static_cast<uint32_t>(m);
    rows.push_back(options);
  }
  const Samples got = draw(ops, repeated, rows);
  std::vector<double> counts(logits.size(), 0);
  for (int64_t m = 0; m < kDraws; ++m) counts[static_cast<size_t>(got.tokens.number(m))] += 1;
  double statistic = 0;
  for (size_t v = 0; v < logits.size(); ++v) {
    const double expected = probabilities[v] * kDraws;
    if (expected == 0) EXPECT(counts[v] == 0, "a filtered token was drawn: ", v);
    if (expected > 0) statistic += (counts[v] - expected) * (counts[v] - expected) / expected;
  }
  return statistic;
}

void check_frequencies(const Ops& ops) {
  // Probabilities 1/2, 1/4, 1/8, 1/16, 1/16 at temperature 1; their square roots, renormalised, at 2.
  const std::vector<double> p = {0.5, 0.25, 0.125, 0.0625, 0.0625};
  std::vector<double> logits, hot;
  for (const double value : p) logits.push_back(std::log(value));
  for (const double value : p)
    hot.push_back(std::sqrt(value) / (0.5 + std::sqrt(0.5) + std::sqrt(0.125) + 0.5));
  constexpr double kLimit = 33;  // 4 degrees of freedom: exceeded with probability 1e-6
  const SampleRow plain{1, 0, 1, 0, 2024, 1, 0, 0}, twice{2, 0, 1, 0, 2024, 1, 0, 0};
  EXPECT(chi_square(ops, logits, plain, p) < kLimit, chi_square(ops, logits, plain, p));
  EXPECT(chi_square(ops, logits, twice, hot) < kLimit, chi_square(ops, logits, twice, hot));
  EXPECT(chi_square(ops, logits, twice, p) > 10 * kLimit, "the statistic tells distributions apart");
  // The nucleus of 0.7 is the first two, of 0.8 the first three; min_p 0.3 keeps p >= 0.15.
  const std::vector<double> two = {2.0 / 3, 1.0 / 3, 0, 0, 0}, three = {4.0 / 7, 2.0 / 7, 1.0 / 7, 0, 0};
  EXPECT(chi_square(ops, logits, {1, 0, 0.7f, 0, 1, 1, 0, 0}, two) < kLimit, "top_p");
  EXPECT(chi_square(ops, logits, {1, 0, 0.8f, 0, 1, 1, 0, 0}, three) < kLimit, "top_p");
  EXPECT(chi_square(ops, logits, {1, 3, 1, 0, 1, 1, 0, 0}, three) < kLimit, "top_k");
  EXPECT(chi_square(ops, logits, {1, 0, 1, 0.3f, 1, 1, 0, 0}, two) < kLimit, "min_p");
}

void check_edges(const Ops& ops) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const auto one = [&](const std::vector<float>& logits, const SampleRow& row) {
    Array array{
        DType::kF32, {1, static_cast<int64_t>(logits.size())}, std::vector<std::byte>(logits.size() * 4)};
    for (size_t i = 0; i < logits.size(); ++i)
      array.set_number(static_cast<int64_t>(i), static_cast<double>(logits[i]));
    return draw(ops, array, {row}).tokens.number(0);
  };
  const SampleRow greedy{0, 0, 1, 0, 1, 1, 0, 0}, plain{1, 0, 1, 0, 1, 1, 0, 0};
  EXPECT(one({1, 3, -2, 3, 3}, greedy) == 1, "the smallest index of equal logits");
  EXPECT(one({-inf, -inf, -5}, greedy) == 2 && one({-inf, -inf, -5}, plain) == 2, "the only finite logit");
  EXPECT(one({2, 2, 2, 2}, {1, 1, 1, 0, 9, 9, 9, 9}) == 0, "top_k 1 of equal logits is the smallest index");
  EXPECT(one({1, 2, 2}, {1, 0, 0, 0, 9, 9, 9, 9}) == 1, "top_p 0 keeps the first of the largest");
  for (const SampleRow& row : {greedy, plain, SampleRow{1, 2, 0.9f, 0.1f, 1, 1, 0, 0}}) {
    expect_error("ERR_NON_FINITE", [&] { one({0, nan, 1}, row); });
    expect_error("ERR_NON_FINITE", [&] { one({0, inf, 1}, row); });
    expect_error("ERR_NON_FINITE", [&] { one({-inf, -inf}, row); });
    std::vector<float> long_row(5003, 0.5f);
    long_row[5002] = nan;
    expect_error("ERR_NON_FINITE", [&] { one(long_row, row); });
  }
  for (const SampleRow& row : {SampleRow{-1, 0, 1, 0, 1, 1, 0, 0}, SampleRow{nan, 0, 1, 0, 1, 1, 0, 0},
                               SampleRow{1, -1, 1, 0, 1, 1, 0, 0}, SampleRow{1, 0, 1.5f, 0, 1, 1, 0, 0},
                               SampleRow{1, 0, nan, 0, 1, 1, 0, 0}, SampleRow{1, 0, 1, -0.5f, 1, 1, 0, 0}})
    expect_error("ERR_OPTION", [&] { one({1, 2}, row); });
}

// Guard zones, set outputs, shapes; every draw of the same options.
std::vector<OpCase> cases() {
  std::vector<OpCase> all;
  for (const auto& [m, v] : {std::pair<int64_t, int64_t>{0, 5}, {1, 1}, {3, 17}, {9, 300}})
    all.push_back({text("M=", m, " V=", v),
                   {set("tokens", {m}, {}).as(DType::kI32), set("logprob", {m}, tolerance::cancelling(60, 1)),
                    input("logits", {m, v}, -4, 4).any_cols()},
                   [](const Ops& ops, Context& context, const std::vector<View>& views) {
                     const std::vector<SampleRow> rows(static_cast<size_t>(views[2].rows()) + 1,
                                                       {0.9f, 20, 0.95f, 0.01f, 3, 1, 4, 1});
                     ops.sample(context, views[0], views[1], views[2], rows.data());
                     return std::vector<double>{};
                   }});
  return all;
}

const Registration registered([] {
  add_op_tests("sample", cases);
  add_backend_tests("sample against a sorting oracle", check_against_oracle);
  add_backend_tests("sample on policy", check_on_policy);
  add_backend_tests("sample independence", check_independence);
  add_backend_tests("sample frequencies", check_frequencies);
  add_backend_tests("sample edges", check_edges);
});

}  // namespace
}  // namespace winnow::test
