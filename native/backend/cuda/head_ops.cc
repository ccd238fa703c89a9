// The engine's side of the operations on logits and log-probabilities.
#include "backend/cuda/call.h"
#include "backend/sampling_checks.h"
#include "base/philox.h"

namespace winnow::cuda {

void softmax_statistics(Context& context, View lse, View logprob, View entropy, View logits, View targets,
                        float inverse_temperature) {
  const int64_t rows = logits.rows(), vocabulary = logits.cols();
  require_shape("softmax_statistics", "logits", logits, rows, vocabulary);
  require_shape("softmax_statistics", "targets", targets, rows, 1, DType::kI32);
  require_shape("softmax_statistics", "lse", lse, rows, 1);
  require_shape("softmax_statistics", "logprob", logprob, rows, 1);
  if (entropy) require_shape("softmax_statistics", "entropy", entropy, rows, 1);
  call(context, [&](const Table& table, Device* device) {
    return table.softmax_statistics(device, lse.as<float>(), logprob.as<float>(), entropy.as<float>(),
                                    logits.as<float>(), targets.as<int32_t>(), rows, vocabulary,
                                    inverse_temperature);
  });
}

void softmax_backward(Context& context, View logits, View lse, View entropy, View targets, View dlogprob,
                      View dentropy, float inverse_temperature) {
  const int64_t rows = logits.rows(), vocabulary = logits.cols();
  require_shape("softmax_backward", "logits", logits, rows, vocabulary);
  require_shape("softmax_backward", "lse", lse, rows, 1);
  require_shape("softmax_backward", "targets", targets, rows, 1, DType::kI32);
  require_shape("softmax_backward", "dlogprob", dlogprob, rows, 1);
  if (entropy) require_shape("softmax_backward", "entropy", entropy, rows, 1);
  if (dentropy) require_shape("softmax_backward", "dentropy", dentropy, rows, 1);
  WINNOW_CHECK(entropy || !dentropy, "ERR_SHAPE", "[softmax_backward] dentropy needs entropy");
  call(context, [&](const Table& table, Device* device) {
    return table.softmax_backward(device, logits.as<float>(), lse.as<float>(), entropy.as<float>(),
                                  targets.as<int32_t>(), dlogprob.as<float>(), dentropy.as<float>(), rows,
                                  vocabulary, inverse_temperature);
  });
}

PolicyLossSums policy_loss(Context& context, View dlogprob, View dentropy, View logprob, View old_logprob,
                           View reference_logprob, View advantage, View weight, View entropy,
                           PolicyLossOptions options) {
  const int64_t rows = logprob.rows();
  require_shape("policy_loss", "logprob", logprob, rows, 1);
  require_shape("policy_loss", "old_logprob", old_logprob, rows, 1);
  require_shape("policy_loss", "advantage", advantage, rows, 1);
  require_shape("policy_loss", "weight", weight, rows, 1);
  require_shape("policy_loss", "dlogprob", dlogprob, rows, 1);
  if (dentropy) require_shape("policy_loss", "dentropy", dentropy, rows, 1);
  if (reference_logprob) require_shape("policy_loss", "reference_logprob", reference_logprob, rows, 1);
  if (entropy) require_shape("policy_loss", "entropy", entropy, rows, 1);
  const PolicyLossArguments arguments{dlogprob.as<float>(),
                                      dentropy.as<float>(),
                                      logprob.as<float>(),
                                      old_logprob.as<float>(),
                                      advantage.as<float>(),
                                      weight.as<float>(),
                                      reference_logprob.as<float>(),
                                      entropy.as<float>(),
                                      rows,
                                      static_cast<double>(options.clip_low),
                                      static_cast<double>(options.clip_high),
                                      static_cast<double>(options.kl_coefficient),
                                      static_cast<double>(options.entropy_coefficient)};
  PolicySums sums{};
  call(context,
       [&](const Table& table, Device* device) { return table.policy_loss(device, &arguments, &sums); });
  return {sums.loss,
          sums.policy_loss,
          sums.kl,
          sums.entropy,
          sums.log_ratio,
          sums.absolute_log_ratio,
          sums.max_absolute_log_ratio,
          static_cast<int64_t>(sums.clipped),
          static_cast<int64_t>(sums.entries)};
}

void sample(Context& context, View tokens, View logprob, View logits, const SampleRow* rows) {
  const int64_t count = logits.rows(), vocabulary = logits.cols();
  require_sample(tokens, logprob, logits, rows);
  std::vector<Sampling> options(static_cast<size_t>(count));
  for (int64_t m = 0; m < count; ++m) {
    const SampleRow& row = rows[m];
    options[static_cast<size_t>(m)] = {row.temperature, row.top_p, row.min_p, row.top_k,
                                       sampling_uniform(row.seed, row.prompt, row.sample, row.position)};
  }
  call(context, [&](const Table& table, Device* device) {
    return table.sample(device, tokens.as<int32_t>(), logprob.as<float>(), logits.as<float>(), options.data(),
                        count, vocabulary);
  });
}

}  // namespace winnow::cuda
