// AdamW's moments in 8 bits: an entry is a code, and a block of entries shares one scale.
//
// moment1 = scale * t |t| with t = (code - 127) / 127; moment2 = scale * t^4 with t = code / 255. The powers
// give small entries of a block finer steps than large ones: the relative step is about 2 / |code - 127| and
// 4 / code, over 4 and 9.6 orders of magnitude. The scale is the block's largest magnitude. A positive
// moment2 never gets code 0, so that no entry loses its denominator. A zero block has scale 0.
#pragma once

#include <cmath>
#include <cstdint>

namespace winnow {

inline double decode_moment1(uint8_t code, float scale) {
  const double t = (code - 127) / 127.0;
  return static_cast<double>(scale) * t * std::fabs(t);
}

inline double decode_moment2(uint8_t code, float scale) {
  const double t = code / 255.0;
  return static_cast<double>(scale) * t * t * t * t;
}

inline uint8_t encode_moment1(double moment, float scale) {
  if (scale == 0) return 127;
  const double magnitude = std::nearbyint(127 * std::sqrt(std::fabs(moment) / static_cast<double>(scale)));
  return static_cast<uint8_t>(127 + std::copysign(std::fmin(magnitude, 127), moment));
}

inline uint8_t encode_moment2(double moment, float scale) {
  if (scale == 0) return 0;
  const double code = std::nearbyint(255 * std::sqrt(std::sqrt(moment / static_cast<double>(scale))));
  return static_cast<uint8_t>(std::fmin(std::fmax(code, moment > 0 ? 1 : 0), 255));
}

}  // namespace winnow
