// Plain C++ stand-ins for the AVX-512 intrinsics that the CPU backend uses, so that the AVX-512 units can be
// tested on a machine without AVX-512: include it after <immintrin.h> and before simd_avx512.inc. The bf16
// dot product follows Intel's pseudocode: denormals flushed, the odd product added first. AMX:
// emulated_amx.h.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace winnow::emulated {

struct alignas(64) Register {
  std::array<uint32_t, 16> bits{};
  float get(size_t lane) const { return std::bit_cast<float>(bits[lane]); }
  void set(size_t lane, float value) { bits[lane] = std::bit_cast<uint32_t>(value); }
};
using Mask = uint16_t;

template <typename Lane>
Register lanes(const Lane& lane) {
  Register result;
  for (size_t i = 0; i < 16; ++i) {
    const auto value = lane(i);
    result.bits[i] = std::bit_cast<uint32_t>(value);
  }
  return result;
}
inline Register load(const void* from) {
  Register result;
  std::memcpy(&result, from, sizeof result);
  return result;
}
inline void store(void* to, const Register& value) { std::memcpy(to, &value, sizeof value); }
inline Register load_masked(Mask mask, const void* from) {
  Register result;
  for (size_t i = 0; i < 16; ++i)
    if (mask >> i & 1) std::memcpy(&result.bits[i], static_cast<const char*>(from) + 4 * i, 4);
  return result;
}
inline void store_masked(void* to, Mask mask, const Register& value) {
  for (size_t i = 0; i < 16; ++i)
    if (mask >> i & 1) std::memcpy(static_cast<char*>(to) + 4 * i, &value.bits[i], 4);
}
inline Register blend(Mask mask, const Register& a, const Register& b) {
  return lanes([&](size_t i) { return mask >> i & 1 ? b.bits[i] : a.bits[i]; });
}
inline Mask unordered(const Register& a, const Register& b) {
  Mask mask = 0;
  for (size_t i = 0; i < 16; ++i)
    if (std::isnan(a.get(i)) || std::isnan(b.get(i))) mask = static_cast<Mask>(mask | 1u << i);
  return mask;
}
inline Mask greater(const Register& a, const Register& b) {
  Mask mask = 0;
  for (size_t i = 0; i < 16; ++i)
    if (a.get(i) > b.get(i)) mask = static_cast<Mask>(mask | 1u << i);
  return mask;
}
inline Register permute_two(const Register& a, const Register& index, const Register& b) {
  return lanes([&](size_t i) { return (index.bits[i] & 16 ? b : a).bits[index.bits[i] & 15]; });
}
inline Register permute_two_words(const Register& a, const Register& index, const Register& b) {
  std::array<uint16_t, 64> from;
  std::memcpy(from.data(), &a, 64);
  std::memcpy(from.data() + 32, &b, 64);
  std::array<uint16_t, 32> words;
  std::memcpy(words.data(), &index, 64);
  for (uint16_t& word : words) word = from[word & 63];
  return load(words.data());
}
inline float flush(float value) {
  return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0f, value) : value;
}
inline Register dot_bf16(const Register& sum, const Register& a, const Register& b) {
  return lanes([&](size_t i) {
    const auto half = [](uint32_t bits) { return flush(std::bit_cast<float>(bits)); };
    float total = flush(sum.get(i));
    total = flush(std::fma(half(a.bits[i] & 0xffff0000u), half(b.bits[i] & 0xffff0000u), total));
    return flush(std::fma(half(a.bits[i] << 16), half(b.bits[i] << 16), total));
  });
}
inline uint16_t round_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(flush(value));
  if (std::isnan(value)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline Register narrow_two(const Register& high, const Register& low) {
  std::array<uint16_t, 32> words;
  for (size_t i = 0; i < 16; ++i) {
    words[i] = round_to_bf16(low.get(i));
    words[16 + i] = round_to_bf16(high.get(i));
  }
  return load(words.data());
}
__attribute__((target("avx2"))) inline Register widen_half(__m256i from) {
  alignas(32) uint16_t halves[16];
  std::memcpy(halves, &from, sizeof halves);
  return lanes([&](size_t i) { return uint32_t{halves[i]}; });
}
__attribute__((target("avx2"))) inline __m256 quarter(const Register& value, size_t half) {
  __m256 result;
  std::memcpy(&result, value.bits.data() + 8 * half, sizeof result);
  return result;
}
__attribute__((target("avx2,f16c"))) inline Register from_f16(__m256i from) {
  Register result;
  const __m256 low = _mm256_cvtph_ps(_mm256_castsi256_si128(from));
  const __m256 high = _mm256_cvtph_ps(_mm256_extracti128_si256(from, 1));
  std::memcpy(result.bits.data(), &low, 32);
  std::memcpy(result.bits.data() + 8, &high, 32);
  return result;
}

}  // namespace winnow::emulated

#include "emulated_amx.h"

#define __m512 ::winnow::emulated::Register
#define __m512i ::winnow::emulated::Register
#define __m512bh ::winnow::emulated::Register
#define __mmask16 ::winnow::emulated::Mask
#define WINNOW_LANES(expression)                \
  ::winnow::emulated::lanes([&](size_t lane_) { \
    (void)lane_;                                \
    return expression;                          \
  })
#define _mm512_loadu_ps(p) ::winnow::emulated::load(p)
#define _mm512_loadu_si512(p) ::winnow::emulated::load(p)
#define _mm512_storeu_ps(p, a) ::winnow::emulated::store(p, a)
#define _mm512_maskz_loadu_ps(m, p) ::winnow::emulated::load_masked(m, p)
#define _mm512_mask_storeu_ps(p, m, a) ::winnow::emulated::store_masked(p, m, a)
#define _mm512_set1_ps(x) WINNOW_LANES(static_cast<float>(x))
#define _mm512_set1_epi32(x) WINNOW_LANES(static_cast<int32_t>(x))
#define _mm512_setzero_ps() (::winnow::emulated::Register{})
#undef _mm512_setr_epi32
#define _mm512_setr_epi32(...) (::winnow::emulated::Register{{__VA_ARGS__}})
#define _mm512_add_ps(a, b) WINNOW_LANES((a).get(lane_) + (b).get(lane_))
#define _mm512_sub_ps(a, b) WINNOW_LANES((a).get(lane_) - (b).get(lane_))
#define _mm512_mul_ps(a, b) WINNOW_LANES((a).get(lane_) * (b).get(lane_))
#define _mm512_div_ps(a, b) WINNOW_LANES((a).get(lane_) / (b).get(lane_))
#define _mm512_sqrt_ps(a) WINNOW_LANES(std::sqrt((a).get(lane_)))
#define _mm512_max_ps(a, b) WINNOW_LANES((a).get(lane_) > (b).get(lane_) ? (a).get(lane_) : (b).get(lane_))
#define _mm512_min_ps(a, b) WINNOW_LANES((a).get(lane_) < (b).get(lane_) ? (a).get(lane_) : (b).get(lane_))
#define _mm512_fmadd_ps(a, b, c) WINNOW_LANES(std::fma((a).get(lane_), (b).get(lane_), (c).get(lane_)))
#define _mm512_roundscale_ps(a, mode) WINNOW_LANES(std::nearbyint((a).get(lane_)))
#define _mm512_cvtps_epi32(a) WINNOW_LANES(static_cast<int32_t>(std::nearbyint((a).get(lane_))))
#define _mm512_add_epi32(a, b) WINNOW_LANES((a).bits[lane_] + (b).bits[lane_])
#define _mm512_and_si512(a, b) WINNOW_LANES((a).bits[lane_] & (b).bits[lane_])
#define _mm512_or_si512(a, b) WINNOW_LANES((a).bits[lane_] | (b).bits[lane_])
#define _mm512_slli_epi32(a, n) WINNOW_LANES((a).bits[lane_] << (n))
#define _mm512_srli_epi32(a, n) WINNOW_LANES((a).bits[lane_] >> (n))
#define _mm512_castps_si512(a) (a)
#define _mm512_castsi512_ps(a) (a)
#define _mm512_castps_pd(a) (a)
#define _mm512_castps512_ps256(a) ::winnow::emulated::quarter(a, 0)
#define _mm512_extractf64x4_pd(a, half) _mm256_castps_pd(::winnow::emulated::quarter(a, half))
#define _mm512_cmp_ps_mask(a, b, kind) \
  ((kind) == _CMP_UNORD_Q ? ::winnow::emulated::unordered(a, b) : ::winnow::emulated::greater(a, b))
#define _mm512_mask_blend_ps(m, a, b) ::winnow::emulated::blend(m, a, b)
#define _mm512_cvtepu16_epi32(a) ::winnow::emulated::widen_half(a)
#define _mm512_cvtph_ps(a) ::winnow::emulated::from_f16(a)
#define _mm512_permutex2var_ps(a, index, b) ::winnow::emulated::permute_two(a, index, b)
#define _mm512_dpbf16_ps(sum, a, b) ::winnow::emulated::dot_bf16(sum, a, b)
#define _mm512_permutex2var_epi16(a, index, b) ::winnow::emulated::permute_two_words(a, index, b)
#define _mm512_cvtne2ps_pbh(high, low) ::winnow::emulated::narrow_two(high, low)
