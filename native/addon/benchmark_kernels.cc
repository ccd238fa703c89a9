#include "addon/benchmark_kernels.h"

#include <immintrin.h>

#include <cmath>

namespace winnow::addon {
namespace {

constexpr int kChains = 12;  // enough to hide a latency of 4 to 5 cycles on two ports

__attribute__((target("avx2,fma"))) float fma_avx2(int64_t rounds, double& flops) {
  const __m256 factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(1e-3f);
  __m256 chains[kChains];
  for (int c = 0; c < kChains; ++c) chains[c] = _mm256_set1_ps(static_cast<float>(c));
  for (int64_t round = 0; round < rounds; ++round)
    for (int c = 0; c < kChains; ++c) chains[c] = _mm256_fmadd_ps(chains[c], factor, term);
  __m256 sum = chains[0];
  for (int c = 1; c < kChains; ++c) sum = _mm256_add_ps(sum, chains[c]);
  flops = 2.0 * 8 * kChains * static_cast<double>(rounds);
  return _mm256_cvtss_f32(sum);
}

__attribute__((target("avx512f"))) float fma_avx512(int64_t rounds, double& flops) {
  const __m512 factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(1e-3f);
  __m512 chains[kChains];
  for (int c = 0; c < kChains; ++c) chains[c] = _mm512_set1_ps(static_cast<float>(c));
  for (int64_t round = 0; round < rounds; ++round)
    for (int c = 0; c < kChains; ++c) chains[c] = _mm512_fmadd_ps(chains[c], factor, term);
  __m512 sum = chains[0];
  for (int c = 1; c < kChains; ++c) sum = _mm512_add_ps(sum, chains[c]);
  flops = 2.0 * 16 * kChains * static_cast<double>(rounds);
  return _mm512_cvtss_f32(sum);
}

float multiply_add_scalar(int64_t rounds, double& flops) {
  float chains[kChains];
  for (int c = 0; c < kChains; ++c) chains[c] = static_cast<float>(c);
  for (int64_t round = 0; round < rounds; ++round)
    for (int c = 0; c < kChains; ++c) chains[c] = chains[c] * 0.999f + 1e-3f;
  float sum = 0;
  for (float chain : chains) sum += chain;
  flops = 2.0 * kChains * static_cast<double>(rounds);
  return sum;
}

}  // namespace

FmaLoop fma_loop(std::string_view instructions) {
  if (instructions.starts_with("avx512")) return fma_avx512;
  if (instructions == "avx2") return fma_avx2;
  return multiply_add_scalar;
}

float read_loop(const float* data, int64_t count) {
  // Plain SSE2 saturates the read bandwidth of a core.
  __m128 sums[8];
  for (__m128& sum : sums) sum = _mm_setzero_ps();
  int64_t i = 0;
  for (; i + 32 <= count; i += 32)
    for (int c = 0; c < 8; ++c) sums[c] = _mm_add_ps(sums[c], _mm_loadu_ps(data + i + 4 * c));
  __m128 sum = sums[0];
  for (int c = 1; c < 8; ++c) sum = _mm_add_ps(sum, sums[c]);
  alignas(16) float lanes[4];
  _mm_store_ps(lanes, sum);
  float total = lanes[0] + lanes[1] + lanes[2] + lanes[3];
  for (; i < count; ++i) total += data[i];
  return total;
}

}  // namespace winnow::addon
