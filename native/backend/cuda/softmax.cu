// Log-probabilities, their gradients, and the policy loss. Formulas: backend/reference/softmax.cc and
// policy_loss.cc.
#include "backend/cuda/softmax.h"

namespace winnow::cuda {
namespace {

__global__ void statistics_kernel(const Fault* fault, float* lse, float* logprob, float* entropy,
                                  const float* logits, const int32_t* targets, int64_t vocabulary,
                                  float inverse_temperature) {
  WINNOW_SHARED(float, shared_f32, kThreads / kWarp);
  WINNOW_SHARED(double, shared_f64, kThreads / kWarp);
  if (fault->kind != kOk) return;
  const int64_t m = blockIdx.x;
  const float* row = logits + m * vocabulary;
  const RowStatistics statistics =
      row_statistics(row, vocabulary, inverse_temperature, shared_f32, shared_f64);
  if (threadIdx.x != 0) return;
  lse[m] = static_cast<float>(statistics.lse);
  logprob[m] = log_probability(statistics, row[targets[m]], inverse_temperature);
  if (entropy) entropy[m] = static_cast<float>(statistics.entropy);
}

__global__ void backward_kernel(const Fault* fault, float* logits, const float* lse, const float* entropy,
                                const int32_t* targets, const float* dlogprob, const float* dentropy,
                                int64_t vocabulary, int64_t count, float inverse_temperature) {
  const int64_t i = global_thread();
  if (i >= count || fault->kind != kOk) return;
  const int64_t m = i / vocabulary, v = i % vocabulary;
  const float log_p = logits[i] * inverse_temperature - lse[m], p = expf(log_p);
  const float spread = dentropy ? max(kNegligible, log_p) + entropy[m] : 0.0f;
  const float inner = fmaf(dentropy ? dentropy[m] : 0.0f, spread, dlogprob[m]);
  const float gradient = p * -inverse_temperature * inner;
  logits[i] = v == targets[m] ? gradient + dlogprob[m] * inverse_temperature : gradient;
}

__device__ inline void add_entry(PolicySums& sums, const PolicyLossArguments& p, int64_t m) {
  const double w = static_cast<double>(p.weight[m]);
  p.dlogprob[m] = 0.0f;
  if (p.dentropy) p.dentropy[m] = 0.0f;
  if (w == 0) return;  // a masked entry may hold anything
  const double logp = static_cast<double>(p.logprob[m]), advantage = static_cast<double>(p.advantage[m]);
  const double log_ratio = logp - static_cast<double>(p.old_logprob[m]), ratio = exp(log_ratio);
  const double bounded = max(1.0 - p.clip_low, min(1.0 + p.clip_high, ratio));
  const double plain = -advantage * ratio, clipped = -advantage * bounded;
  const double policy = max(plain, clipped);
  double gradient = plain >= clipped ? plain : 0.0, k3 = 0;
  if (p.reference_logprob) {
    const double d = static_cast<double>(p.reference_logprob[m]) - logp;
    k3 = expm1(d) - d;
    gradient -= p.kl_coefficient * expm1(d);
  }
  const double h = p.entropy ? static_cast<double>(p.entropy[m]) : 0.0;
  p.dlogprob[m] = static_cast<float>(w * gradient);
  if (p.dentropy) p.dentropy[m] = static_cast<float>(-w * p.entropy_coefficient);
  sums.loss += w * (policy + p.kl_coefficient * k3 - p.entropy_coefficient * h);
  sums.policy_loss += w * policy;
  sums.kl += w * k3;
  sums.entropy += w * h;
  sums.log_ratio += w * log_ratio;
  sums.absolute_log_ratio += w * fabs(log_ratio);
  sums.max_absolute_log_ratio = max(sums.max_absolute_log_ratio, fabs(log_ratio));
  sums.clipped += plain < clipped ? 1 : 0;
  sums.entries += 1;
}

// One block.
__global__ void policy_kernel(PolicyLossArguments call, PolicySums* result) {
  WINNOW_SHARED(double, shared, kThreads / kWarp);
  PolicySums sums = {};
  for (int64_t m = threadIdx.x; m < call.rows; m += kThreads) add_entry(sums, call, m);
  const double loss = block_sum(sums.loss, shared), policy = block_sum(sums.policy_loss, shared);
  const double kl = block_sum(sums.kl, shared), entropy = block_sum(sums.entropy, shared);
  const double log_ratio = block_sum(sums.log_ratio, shared);
  const double absolute = block_sum(sums.absolute_log_ratio, shared);
  const double clipped = block_sum(sums.clipped, shared), entries = block_sum(sums.entries, shared);
  const double most = block_max(sums.max_absolute_log_ratio, shared);
  if (threadIdx.x != 0) return;
  *result = {loss, policy, kl, entropy, log_ratio, absolute, most, clipped, entries};
}

// partial: the squares of 64 numbers a thread.
constexpr int64_t kNormChunk = 64 * kThreads;
__global__ void square_kernel(double* partial, const float* x, int64_t count) {
  WINNOW_SHARED(double, shared, kThreads / kWarp);
  const int64_t begin = int64_t{blockIdx.x} * kNormChunk;
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < min(count, begin + kNormChunk); i += kThreads)
    sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// One block.
__global__ void add_squares(double* result, const double* partial, int64_t count) {
  WINNOW_SHARED(double, shared, kThreads / kWarp);
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) sum += partial[i];
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) *result = sum;
}

}  // namespace

Status softmax_statistics(Device* device, float* lse, float* logprob, float* entropy, const float* logits,
                          const int32_t* targets, int64_t m, int64_t vocabulary, float inverse_temperature) {
  WINNOW_TRY(check_indices(device, targets, m, vocabulary, FaultSource::kTarget));
  if (m == 0) return kOk;
  return launch(device, statistics_kernel, static_cast<unsigned>(m), row_threads(vocabulary), device->fault,
                lse, logprob, entropy, logits, targets, vocabulary, inverse_temperature);
}

Status softmax_backward(Device* device, float* logits, const float* lse, const float* entropy,
                        const int32_t* targets, const float* dlogprob, const float* dentropy, int64_t m,
                        int64_t vocabulary, float inverse_temperature) {
  WINNOW_TRY(check_indices(device, targets, m, vocabulary, FaultSource::kTarget));
  const int64_t count = m * vocabulary;
  if (count == 0) return kOk;
  return launch(device, backward_kernel, blocks_for(count, kThreads), kThreads, device->fault, logits, lse,
                entropy, targets, dlogprob, dentropy, vocabulary, count, inverse_temperature);
}

Status policy_loss(Device* device, const PolicyLossArguments* call, PolicySums* host_sums) {
  PolicySums* sums = nullptr;
  WINNOW_TRY(scratch(device, 1, &sums));
  WINNOW_TRY(launch(device, policy_kernel, 1, kThreads, *call, sums));
  return read_back(device, host_sums, sums, sizeof *host_sums);
}

Status squared_norm(Device* device, const float* x, int64_t count, double* host_sum) {
  const int64_t chunks = ceil_div(count, kNormChunk);
  double* partial = nullptr;
  WINNOW_TRY(scratch(device, chunks + 1, &partial));
  if (chunks > 0)
    WINNOW_TRY(launch(device, square_kernel, static_cast<unsigned>(chunks), kThreads, partial + 1, x, count));
  WINNOW_TRY(launch(device, add_squares, 1, kThreads, partial, partial + 1, chunks));
  return read_back(device, host_sum, partial, sizeof *host_sum);
}

}  // namespace winnow::cuda
