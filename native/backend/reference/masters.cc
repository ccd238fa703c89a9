// Masters in a packed weight, which here is row-major: master = (weight - rounded_up) << 16 | low half for
// bf16.
#include <bit>

#include "backend/optimizer_shapes.h"
#include "backend/reference/reference.h"

namespace winnow::reference {
namespace {

struct RestRow {
  uint8_t *low, *up;  // K low halves, little-endian; K bits
};

RestRow rest_row(View rest, int64_t row, int64_t k) {
  uint8_t* begin = rest.as<uint8_t>() + row * rest.cols();
  return {begin, begin + 2 * k};
}

}  // namespace

void pack_master(Context&, PackedWeight weight, View rest, View value, int64_t first_row) {
  require_masters("pack_master", value, weight, rest, first_row);
  for (int64_t r = 0; r < value.rows(); ++r) {
    const RestRow row = rest_row(rest, first_row + r, weight.k);
    for (int64_t k = 0; k < weight.k; ++k) {
      const float master = at(value, r * weight.k + k);
      const int64_t index = (first_row + r) * weight.k + k;
      if (weight.dtype == DType::kF32) {
        static_cast<float*>(weight.data)[index] = master;
        continue;
      }
      const uint32_t bits = std::bit_cast<uint32_t>(master);
      const bf16 rounded = f32_to_bf16(master);
      static_cast<bf16*>(weight.data)[index] = rounded;
      row.low[2 * k] = static_cast<uint8_t>(bits);
      row.low[2 * k + 1] = static_cast<uint8_t>(bits >> 8);
      if (k % 8 == 0) row.up[k / 8] = 0;
      if (rounded != bits >> 16) row.up[k / 8] |= static_cast<uint8_t>(1u << (k % 8));
    }
  }
}

void unpack_master(Context&, View value, PackedWeight weight, View rest, int64_t first_row) {
  require_masters("unpack_master", value, weight, rest, first_row);
  for (int64_t r = 0; r < value.rows(); ++r) {
    const RestRow row = rest_row(rest, first_row + r, weight.k);
    for (int64_t k = 0; k < weight.k; ++k) {
      float& master = at(value, r * weight.k + k);
      const int64_t index = (first_row + r) * weight.k + k;
      if (weight.dtype == DType::kF32) {
        master = static_cast<const float*>(weight.data)[index];
        continue;
      }
      const uint32_t up = row.up[k / 8] >> (k % 8) & 1u;
      const uint32_t high = static_cast<const bf16*>(weight.data)[index] - up;
      master =
          std::bit_cast<float>(high << 16 | uint32_t{row.low[2 * k]} | uint32_t{row.low[2 * k + 1]} << 8);
    }
  }
}

}  // namespace winnow::reference
