// Number formats: every bf16 and f16, and rounding to bf16 at and around every midpoint.
#include <cmath>

#include "base/dtype.h"
#include "harness.h"

namespace winnow::test {
namespace {

// IEEE 754 value of a sign-exponent-mantissa word, by arithmetic.
double decoded(uint32_t word, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const auto mantissa = static_cast<double>(word & ((1u << mantissa_bits) - 1));
  const int exponent = static_cast<int>(word >> mantissa_bits & ((1u << exponent_bits) - 1));
  const double sign = word >> (mantissa_bits + exponent_bits) ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) return mantissa != 0 ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp(1 + std::ldexp(mantissa, -mantissa_bits), exponent - bias);
}

bool same(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

}  // namespace

TEST("base/dtype/every f16 widens exactly") {
  for (uint32_t word = 0; word < 0x10000; ++word)
    EXPECT(same(static_cast<double>(f16_to_f32(static_cast<f16>(word))), decoded(word, 5, 10)), "word ",
           word);
}

TEST("base/dtype/every bf16 widens exactly and comes back") {
  for (uint32_t word = 0; word < 0x10000; ++word) {
    const float wide = bf16_to_f32(static_cast<bf16>(word));
    EXPECT(same(static_cast<double>(wide), decoded(word, 8, 7)), "word ", word);
    if (std::isnan(wide))
      EXPECT(std::isnan(round_to_bf16(wide)), "NaN of word ", word);
    else
      EXPECT(f32_to_bf16(wide) == word, "word ", word);
  }
}

TEST("base/dtype/bf16 rounds to nearest, ties to even") {
  for (uint32_t word = 0; word < 0x10000; ++word) {
    const bf16 low = static_cast<bf16>(word);
    if ((word & 0x7f80u) == 0x7f80u) continue;  // infinity and NaN
    const auto next = static_cast<bf16>(word + 1);
    const uint32_t tie = word << 16 | 0x8000u;
    const bf16 even = word % 2 == 0 ? low : next;
    EXPECT(f32_to_bf16(std::bit_cast<float>(tie)) == even, "midpoint above ", word);
    EXPECT(f32_to_bf16(std::bit_cast<float>(tie - 1)) == low, "below the midpoint above ", word);
    EXPECT(f32_to_bf16(std::bit_cast<float>(tie + 1)) == next, "above the midpoint above ", word);
  }
}

TEST("base/dtype/a NaN whose payload is in the low half stays NaN") {
  EXPECT(std::isnan(round_to_bf16(std::bit_cast<float>(0x7f800001u))), "positive");
  EXPECT(std::isnan(round_to_bf16(std::bit_cast<float>(0xff80ffffu))), "negative");
  EXPECT(std::isnan(round_to_bf16(std::bit_cast<float>(0x7fffffffu))), "largest payload");
}

TEST("base/dtype/sizes and names") {
  EXPECT(size_bytes(DType::kF32) == 4 && size_bytes(DType::kI32) == 4, "four bytes");
  EXPECT(size_bytes(DType::kBF16) == 2 && size_bytes(DType::kF16) == 2, "two bytes");
  EXPECT(std::string(name(DType::kBF16)) == "bf16", name(DType::kBF16));
}

}  // namespace winnow::test
