// Number formats and exact conversions between them.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace winnow {

enum class DType : uint8_t { kF32, kBF16, kF16, kI32, kU8 };

constexpr size_t size_bytes(DType dtype) {
  if (dtype == DType::kU8) return 1;
  return dtype == DType::kF32 || dtype == DType::kI32 ? 4 : 2;
}
constexpr bool is_float(DType dtype) { return dtype != DType::kI32 && dtype != DType::kU8; }

constexpr const char* name(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kBF16:
      return "bf16";
    case DType::kF16:
      return "f16";
    case DType::kI32:
      return "i32";
    case DType::kU8:
      return "u8";
  }
  return "?";
}

using bf16 = uint16_t;  // storage only: the high half of an f32
using f16 = uint16_t;   // storage only: IEEE 754 binary16

// Round to nearest, ties to even; NaN stays NaN.
inline bf16 f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<bf16>((bits >> 16) | 0x40u);
  return static_cast<bf16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float bf16_to_f32(bf16 value) { return std::bit_cast<float>(static_cast<uint32_t>(value) << 16); }

inline float round_to_bf16(float value) { return bf16_to_f32(f32_to_bf16(value)); }

inline float f16_to_f32(f16 value) {
  const uint32_t sign = static_cast<uint32_t>(value & 0x8000u) << 16;
  const uint32_t exponent = (value >> 10) & 0x1fu;
  const uint32_t mantissa = value & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // subnormal, exact
  return sign ? -magnitude : magnitude;
}

}  // namespace winnow
