#include "addon/benchmark_kernels.h"

#include <immintrin.h>

#include <cmath>
#include <cstdint>

#include "base/matrix_tiles.h"

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

// Both products of a pair and the sum count: vdpbf16ps does twice the work of a multiply-add of f32.
__attribute__((target("avx512f,avx512bf16"))) float dot_avx512bf16(int64_t rounds, double& flops) {
  const __m512bh factor = (__m512bh)_mm512_set1_epi32(0x3f7f3f7f),
                 term = (__m512bh)_mm512_set1_epi32(0x3c003c00);
  __m512 chains[kChains];
  for (int c = 0; c < kChains; ++c) chains[c] = _mm512_set1_ps(static_cast<float>(c));
  for (int64_t round = 0; round < rounds; ++round)
    for (int c = 0; c < kChains; ++c) chains[c] = _mm512_dpbf16_ps(chains[c], factor, term);
  __m512 sum = chains[0];
  for (int c = 1; c < kChains; ++c) sum = _mm512_add_ps(sum, chains[c]);
  flops = 4.0 * 16 * kChains * static_cast<double>(rounds);
  return _mm512_cvtss_f32(sum);
}

// Four independent sums of matrices; a product of two takes as long as some ten rounds of the other loops.
float dot_tiles(int64_t rounds, double& flops) {
  TileConfiguration shapes;
  for (int i = 0; i < 8; ++i) shapes.row_bytes[i] = 64, shapes.rows[i] = 16;
  alignas(64) uint16_t ones[512];
  for (uint16_t& one : ones) one = 0x3f80;
  alignas(64) float sums[256];
  tile_configure(shapes);
  tile_load<4>(ones, 64), tile_load<5>(ones, 64), tile_load<6>(ones, 64), tile_load<7>(ones, 64);
  const int64_t products = rounds / 10;
  for (int64_t product = 0; product < products; ++product) {
    tile_dot_bf16<0, 4, 6>();
    tile_dot_bf16<1, 4, 7>();
    tile_dot_bf16<2, 5, 6>();
    tile_dot_bf16<3, 5, 7>();
  }
  tile_store<0>(sums, 64);
  tile_release();
  flops = 4 * 2.0 * 16 * 16 * 32 * static_cast<double>(products);
  return sums[0];
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

FmaLoop fma_loop(std::string_view instructions, DType dtype) {
  if (dtype == DType::kBF16 && instructions == "avx512amx") return dot_tiles;
  if (dtype == DType::kBF16 && instructions == "avx512bf16") return dot_avx512bf16;
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
