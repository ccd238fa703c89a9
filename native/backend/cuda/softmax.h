// The sums of a softmax over one row, by one block: shared by training and sampling, so that they agree bit
// for bit.
#pragma once

#include "backend/cuda/device.h"

namespace winnow::cuda {

struct RowStatistics {
  float maximum;    // of z = logit * inverse_temperature
  double sum, lse;  // of exp(z - maximum); log sum exp(z): not finite where a logit is NaN or +infinity
  double entropy;
};

// Threads of a block that reduces a row.
inline int row_threads(int64_t vocabulary) { return vocabulary <= kThreads ? kWarp : kThreads; }

// By a whole block of row_threads; the sums of a thread are f32, those of the block f64.
__device__ inline RowStatistics row_statistics(const float* logits, int64_t vocabulary,
                                               float inverse_temperature, float* shared_f32,
                                               double* shared_f64) {
  float maximum = -3.402823466e38f;
  for (int64_t v = threadIdx.x; v < vocabulary; v += blockDim.x)
    maximum = max(maximum, logits[v] * inverse_temperature);
  maximum = block_max(maximum, shared_f32);
  float sum = 0, weighted = 0;
  for (int64_t v = threadIdx.x; v < vocabulary; v += blockDim.x) {
    const float shifted = logits[v] * inverse_temperature - maximum, mass = expf(shifted);
    sum += mass;
    weighted = fmaf(mass, max(kNegligible, shifted), weighted);
  }
  const double all = block_sum(static_cast<double>(sum), shared_f64);
  const double all_weighted = block_sum(static_cast<double>(weighted), shared_f64);
  const double log_sum = log(all);
  return {maximum, all, static_cast<double>(maximum) + log_sum, log_sum - all_weighted / all};
}

// The one place that makes a log-probability.
__device__ inline float log_probability(const RowStatistics& row, float logit, float inverse_temperature) {
  return static_cast<float>(static_cast<double>(logit * inverse_temperature) - row.lse);
}

}  // namespace winnow::cuda
