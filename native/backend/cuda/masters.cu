// Masters in bf16 weights: master = (weight - rounded_up) << 16 | low half. A row of what is kept beside the
// weights is k low halves, then k bits that say whether rounding went up.
#include "backend/cuda/library.h"

namespace winnow::cuda {
namespace {

__host__ __device__ inline int64_t bit_bytes(int64_t k) { return (k + 7) / 8; }

// A thread packs the eight masters of one byte of bits. Rows of bytes begin anywhere, so halves are written
// byte by byte.
__global__ void pack_master_kernel(uint16_t* weight, uint8_t* rest, const float* value, int64_t k,
                                   int64_t units) {
  const int64_t unit = global_thread();
  if (unit >= units) return;
  const int64_t row = unit / bit_bytes(k), first = unit % bit_bytes(k) * 8;
  uint8_t* low = rest + row * (2 * k + bit_bytes(k));
  uint32_t ups = 0;
  for (int64_t i = first; i < first + 8 && i < k; ++i) {
    const uint32_t bits = __float_as_uint(value[row * k + i]);
    const uint16_t rounded = to_bf16(value[row * k + i]);
    weight[row * k + i] = rounded;
    low[2 * i] = static_cast<uint8_t>(bits);
    low[2 * i + 1] = static_cast<uint8_t>(bits >> 8);
    if (rounded != bits >> 16) ups |= 1u << (i - first);
  }
  low[2 * k + first / 8] = static_cast<uint8_t>(ups);
}

__global__ void unpack_master_kernel(float* value, const uint16_t* weight, const uint8_t* rest, int64_t k,
                                     int64_t count) {
  const int64_t index = global_thread();
  if (index >= count) return;
  const int64_t row = index / k, i = index % k;
  const uint8_t* low = rest + row * (2 * k + bit_bytes(k));
  const uint32_t up = static_cast<uint32_t>(low[2 * k + i / 8]) >> (i % 8) & 1u;
  const uint32_t high = weight[index] - up;
  value[index] = __uint_as_float(high << 16 | static_cast<uint32_t>(low[2 * i + 1]) << 8 | low[2 * i]);
}

}  // namespace

Status pack_master(Device* device, uint16_t* weight, uint8_t* rest, const float* value, int64_t m,
                   int64_t k) {
  const int64_t units = m * bit_bytes(k);
  if (units == 0) return kOk;
  return launch(device, pack_master_kernel, blocks_for(units, kThreads), kThreads, weight, rest, value, k,
                units);
}

Status unpack_master(Device* device, float* value, const uint16_t* weight, const uint8_t* rest, int64_t m,
                     int64_t k) {
  if (m * k == 0) return kOk;
  return launch(device, unpack_master_kernel, blocks_for(m * k, kThreads), kThreads, value, weight, rest, k,
                m * k);
}

}  // namespace winnow::cuda
