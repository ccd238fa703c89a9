// Clipped policy-gradient loss per token, with ratio = exp(logprob - old) and advantage A:
//   policy = -min(ratio A, clip(ratio, 1 - clip_low, 1 + clip_high) A)
//     (PPO, Schulman et al. 2017; two clip bounds as in DAPO, Yu et al. 2025)
//   k3 = exp(d) - d - 1 with d = reference - logprob   (Schulman, "Approximating KL divergence", 2020)
//   loss = weight (policy + kl_coefficient k3 - entropy_coefficient entropy)
// Gradients: dpolicy/dlogprob = -ratio A where the unclipped term is the minimum, else 0;
//   dk3/dlogprob = 1 - exp(d); dloss/dentropy = -weight entropy_coefficient.
// Entries of weight 0 add nothing and may hold anything.
#include <algorithm>
#include <cmath>
#include <utility>

#include "backend/reference/reference.h"

namespace winnow::reference {

PolicyLossSums policy_loss(Context&, View dlogprob, View dentropy, View logprob, View old_logprob,
                           View reference_logprob, View advantage, View weight, View entropy,
                           PolicyLossOptions options) {
  const int64_t rows = logprob.rows();
  for (const auto& [argument, view] : {std::pair("dlogprob", dlogprob),
                                       {"logprob", logprob},
                                       {"old_logprob", old_logprob},
                                       {"advantage", advantage},
                                       {"weight", weight}})
    require_shape("policy_loss", argument, view, rows, 1);
  if (dentropy) require_shape("policy_loss", "dentropy", dentropy, rows, 1);
  if (reference_logprob) require_shape("policy_loss", "reference_logprob", reference_logprob, rows, 1);
  if (entropy) require_shape("policy_loss", "entropy", entropy, rows, 1);
  const double low = 1.0 - static_cast<double>(options.clip_low);
  const double high = 1.0 + static_cast<double>(options.clip_high);
  const double kl_coefficient = static_cast<double>(options.kl_coefficient);
  const double entropy_coefficient = static_cast<double>(options.entropy_coefficient);
  PolicyLossSums sums;
  for (int64_t m = 0; m < rows; ++m) {
    const double w = static_cast<double>(at(weight, m));
    at(dlogprob, m) = 0.0f;
    if (dentropy) at(dentropy, m) = 0.0f;
    if (w == 0) continue;
    const double logp = static_cast<double>(at(logprob, m)), a = static_cast<double>(at(advantage, m));
    const double log_ratio = logp - static_cast<double>(at(old_logprob, m)), ratio = std::exp(log_ratio);
    const double unclipped = ratio * a, clipped = std::clamp(ratio, low, high) * a;
    const double policy = -std::min(unclipped, clipped);
    double gradient = unclipped <= clipped ? -unclipped : 0.0, kl = 0, h = 0;
    if (reference_logprob) {
      const double d = static_cast<double>(at(reference_logprob, m)) - logp;
      kl = std::expm1(d) - d;
      gradient -= kl_coefficient * std::expm1(d);
    }
    if (entropy) h = static_cast<double>(at(entropy, m));
    at(dlogprob, m) = static_cast<float>(w * gradient);
    if (dentropy) at(dentropy, m) = static_cast<float>(-w * entropy_coefficient);
    sums.policy_loss += w * policy;
    sums.kl += w * kl;
    sums.entropy += w * h;
    sums.loss += w * (policy + kl_coefficient * kl - entropy_coefficient * h);
    sums.log_ratio += w * log_ratio;
    sums.absolute_log_ratio += w * std::fabs(log_ratio);
    sums.max_absolute_log_ratio = std::fmax(sums.max_absolute_log_ratio, std::fabs(log_ratio));
    sums.clipped += clipped < unclipped;
    ++sums.entries;
  }
  return sums;
}

}  // namespace winnow::reference
