// Log-probabilities of a softmax, with z = logits * inverse_temperature and p_v = exp(z_v - lse):
//   lse = log sum_v exp(z_v)    logprob = z_target - lse    entropy = -sum_v p_v log p_v
// Their gradients to the logits (derivative of the above):
//   dlogprob/dlogit_v = inverse_temperature * ([v = target] - p_v)
//   dentropy/dlogit_v = -inverse_temperature * p_v * (log p_v + entropy)
// A logit of -infinity has p = 0 and adds nothing (the limit of p log p).
#include <cmath>
#include <limits>

#include "backend/reference/reference.h"

namespace winnow::reference {

double row_log_sum_exp(const View& logits, int64_t row, int64_t vocabulary, double inverse_temperature) {
  double maximum = -std::numeric_limits<double>::infinity();
  for (int64_t v = 0; v < vocabulary; ++v)
    maximum = std::fmax(maximum, static_cast<double>(at(logits, row * vocabulary + v)) * inverse_temperature);
  double total = 0;
  for (int64_t v = 0; v < vocabulary; ++v)
    total += std::exp(static_cast<double>(at(logits, row * vocabulary + v)) * inverse_temperature - maximum);
  return maximum + std::log(total);
}

void softmax_statistics(Context&, View lse, View logprob, View entropy, View logits, View targets,
                        float inverse_temperature) {
  const int64_t rows = logits.rows(), vocabulary = logits.cols();
  require_shape("softmax_statistics", "logits", logits, rows, vocabulary);
  require_shape("softmax_statistics", "targets", targets, rows, 1, DType::kI32);
  require_shape("softmax_statistics", "lse", lse, rows, 1);
  require_shape("softmax_statistics", "logprob", logprob, rows, 1);
  if (entropy) require_shape("softmax_statistics", "entropy", entropy, rows, 1);
  require_indices("softmax_statistics", "target", targets, vocabulary);
  const double inverse = static_cast<double>(inverse_temperature);
  for (int64_t m = 0; m < rows; ++m) {
    const double row_lse = row_log_sum_exp(logits, m, vocabulary, inverse);
    const int64_t target = index_at(targets, m);
    at(lse, m) = static_cast<float>(row_lse);
    at(logprob, m) =
        static_cast<float>(static_cast<double>(at(logits, m * vocabulary + target)) * inverse - row_lse);
    if (!entropy) continue;
    double sum = 0;
    for (int64_t v = 0; v < vocabulary; ++v) {
      const double log_p = static_cast<double>(at(logits, m * vocabulary + v)) * inverse - row_lse;
      const double p = std::exp(log_p);
      if (p > 0) sum -= p * log_p;
    }
    at(entropy, m) = static_cast<float>(sum);
  }
}

void softmax_backward(Context&, View logits, View lse, View entropy, View targets, View dlogprob,
                      View dentropy, float inverse_temperature) {
  const int64_t rows = logits.rows(), vocabulary = logits.cols();
  require_shape("softmax_backward", "logits", logits, rows, vocabulary);
  require_shape("softmax_backward", "lse", lse, rows, 1);
  require_shape("softmax_backward", "targets", targets, rows, 1, DType::kI32);
  require_shape("softmax_backward", "dlogprob", dlogprob, rows, 1);
  if (dentropy) {
    require_shape("softmax_backward", "dentropy", dentropy, rows, 1);
    require_shape("softmax_backward", "entropy", entropy, rows, 1);
  }
  require_indices("softmax_backward", "target", targets, vocabulary);
  const double inverse = static_cast<double>(inverse_temperature);
  for (int64_t m = 0; m < rows; ++m) {
    const int64_t target = index_at(targets, m);
    const double dlogp = static_cast<double>(at(dlogprob, m));
    for (int64_t v = 0; v < vocabulary; ++v) {
      float& logit = at(logits, m * vocabulary + v);
      const double log_p = static_cast<double>(logit) * inverse - static_cast<double>(at(lse, m));
      const double p = std::exp(log_p);
      double gradient = dlogp * ((v == target ? 1.0 : 0.0) - p);
      if (dentropy && p > 0)
        gradient -= static_cast<double>(at(dentropy, m)) * p * (log_p + static_cast<double>(at(entropy, m)));
      logit = static_cast<float>(inverse * gradient);
    }
  }
}

}  // namespace winnow::reference
