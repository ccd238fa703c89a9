// AdamW on moments of 8 bits: decoded, stepped as in optimizer.cc, encoded with the block's new scale.
#include <algorithm>
#include <cmath>

#include "backend/moment_codes.h"
#include "backend/optimizer_shapes.h"
#include "backend/reference/adamw.h"
#include "backend/reference/reference.h"

namespace winnow::reference {

void adamw_8bit(Context&, View value, QuantisedMoments moments, View gradient, AdamwOptions options) {
  require_moments("adamw_8bit", value, moments, gradient);
  const AdamwFactors f(options);
  const int64_t size = value.size();
  auto *codes1 = moments.codes1.as<uint8_t>(), *codes2 = moments.codes2.as<uint8_t>();
  for (int64_t begin = 0; begin < size; begin += kMomentBlock) {
    const int64_t block = begin / kMomentBlock, count = std::min(kMomentBlock, size - begin);
    float &scale1 = at(moments.scales1, block), &scale2 = at(moments.scales2, block);
    double m[kMomentBlock], v[kMomentBlock], largest1 = 0, largest2 = 0;
    for (int64_t i = 0; i < count; ++i) {
      const double g = static_cast<double>(at(gradient, begin + i)) * f.gradient_scale;
      m[i] = f.beta1 * decode_moment1(codes1[begin + i], scale1) + (1.0 - f.beta1) * g;
      v[i] = f.beta2 * decode_moment2(codes2[begin + i], scale2) + (1.0 - f.beta2) * g * g;
      at(value, begin + i) = f.stepped(at(value, begin + i), m[i], v[i]);
      largest1 = std::max(largest1, std::fabs(m[i]));
      largest2 = std::max(largest2, v[i]);
    }
    scale1 = static_cast<float>(largest1);
    scale2 = static_cast<float>(largest2);
    for (int64_t i = 0; i < count; ++i) {
      codes1[begin + i] = encode_moment1(m[i], scale1);
      codes2[begin + i] = encode_moment2(v[i], scale2);
    }
  }
}

}  // namespace winnow::reference
