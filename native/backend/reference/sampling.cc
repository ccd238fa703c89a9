// Sampling by the inverse of the cumulative distribution: with kept masses p_v and a uniform u in [0, 1),
// the token is the first v in index order whose running sum exceeds u * sum of p. The filters, each on
// what the one before kept (as in Hugging Face transformers' chain of logits warpers):
//   temperature; top_k: the k largest; top_p: the shortest descending prefix that holds top_p of the mass
//   (nucleus sampling, Holtzman et al. 2020); min_p: p >= min_p * the largest p (Nguyen et al. 2024).
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "backend/reference/reference.h"
#include "backend/sampling_checks.h"
#include "base/philox.h"

namespace winnow::reference {
namespace {

// The smallest index among the largest logits.
int64_t greedy_token(const View& logits, int64_t row, int64_t vocabulary) {
  int64_t best = 0;
  for (int64_t v = 1; v < vocabulary; ++v)
    if (at(logits, row * vocabulary + v) > at(logits, row * vocabulary + best)) best = v;
  return best;
}

void require_distribution(const View& logits, int64_t row, int64_t vocabulary) {
  bool any = false, valid = true;
  for (int64_t v = 0; v < vocabulary; ++v) {
    const float logit = at(logits, row * vocabulary + v);
    any = any || std::isfinite(logit);
    valid = valid && (std::isfinite(logit) || logit < 0);
  }
  if (!any || !valid)
    throw Error(
        "ERR_NON_FINITE", "[sample] the logits of row " + std::to_string(row) + " are no distribution",
        "finite logits or -infinity, at least one finite", valid ? "only -infinity" : "NaN or +infinity");
}

// Unnormalised probabilities of a row after every filter; 0 = dropped.
std::vector<double> kept_masses(const View& logits, int64_t row, int64_t vocabulary, const SampleRow& options,
                                double inverse_temperature) {
  std::vector<double> z(static_cast<size_t>(vocabulary)), kept(z.size(), 0.0);
  for (int64_t v = 0; v < vocabulary; ++v)
    z[static_cast<size_t>(v)] = static_cast<double>(at(logits, row * vocabulary + v)) * inverse_temperature;
  std::vector<size_t> order(z.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return z[a] > z[b]; });
  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < order.size())
    order.resize(static_cast<size_t>(options.top_k));
  const double maximum = z[order[0]];
  double total = 0, before = 0;
  for (size_t v : order) total += std::exp(z[v] - maximum);
  for (size_t v : order) {
    const double mass = std::exp(z[v] - maximum);
    const double nucleus = static_cast<double>(options.top_p) * total;
    const bool inside = options.top_p >= 1 || before == 0 || before < nucleus;
    if (inside && mass >= static_cast<double>(options.min_p)) kept[v] = mass;
    before += mass;
  }
  return kept;
}

int64_t draw(const std::vector<double>& masses, double u) {
  const double target = u * std::accumulate(masses.begin(), masses.end(), 0.0);
  double running = 0;
  int64_t last = 0;
  for (size_t v = 0; v < masses.size(); ++v) {
    if (masses[v] == 0) continue;
    running += masses[v];
    last = static_cast<int64_t>(v);
    if (running > target) break;
  }
  return last;
}

}  // namespace

void sample(Context&, View tokens, View logprob, View logits, const SampleRow* rows) {
  const int64_t row_count = logits.rows(), vocabulary = logits.cols();
  require_sample(tokens, logprob, logits, rows);
  for (int64_t m = 0; m < row_count; ++m) require_distribution(logits, m, vocabulary);
  for (int64_t m = 0; m < row_count; ++m) {
    const SampleRow& options = rows[m];
    const bool greedy = options.temperature == 0;
    const double inverse_temperature = greedy ? 1.0 : static_cast<double>(1.0f / options.temperature);
    const double u =
        static_cast<double>(sampling_uniform(options.seed, options.prompt, options.sample, options.position));
    const int64_t token = greedy ? greedy_token(logits, m, vocabulary)
                                 : draw(kept_masses(logits, m, vocabulary, options, inverse_temperature), u);
    tokens.i32()[m] = static_cast<int32_t>(token);
    at(logprob, m) =
        static_cast<float>(static_cast<double>(at(logits, m * vocabulary + token)) * inverse_temperature -
                           row_log_sum_exp(logits, m, vocabulary, inverse_temperature));
  }
}

}  // namespace winnow::reference
