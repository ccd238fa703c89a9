// What low-rank adapters need: dropout and a factor. The draws are those of base/philox.h.
#include "backend/cuda/library.h"

namespace winnow::cuda {
namespace {

struct Draws {
  uint32_t word[4];
};

// Philox4x32-10 of (block, stream, 0, 0xd409).
__device__ inline Draws dropout_draws(uint32_t key0, uint32_t key1, uint32_t block, uint32_t stream) {
  Draws counter{{block, stream, 0, 0xd409}};
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = 0xD2511F53ull * counter.word[0], product1 = 0xCD9E8D57ull * counter.word[2];
    counter = {
        {static_cast<uint32_t>(product1 >> 32) ^ counter.word[1] ^ key0, static_cast<uint32_t>(product1),
         static_cast<uint32_t>(product0 >> 32) ^ counter.word[3] ^ key1, static_cast<uint32_t>(product0)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// A thread makes the four entries of one draw.
__global__ void dropout_kernel(float* out, const float* x, const int32_t* keys, int64_t width, int64_t blocks,
                               int64_t count, float probability, uint32_t stream, float kept,
                               bool accumulate) {
  const int64_t unit = global_thread();
  if (unit >= count) return;
  const int64_t m = unit / blocks, block = unit % blocks;
  const Draws draws =
      dropout_draws(static_cast<uint32_t>(keys[2 * m]), static_cast<uint32_t>(keys[2 * m + 1]),
                    static_cast<uint32_t>(block), stream);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int64_t k = 4 * block + i, at = m * width + k;
    if (k >= width) continue;
    const bool dropped = static_cast<float>(draws.word[i] >> 8) * 0x1p-24f < probability;
    const float value = dropped ? 0.0f : x[at] * kept;
    out[at] = accumulate ? out[at] + value : value;
  }
}

__global__ void scale_kernel(float* x, int64_t count, float factor) {
  const int64_t i = global_thread();
  if (i < count) x[i] *= factor;
}

}  // namespace

Status scale(Device* device, float* x, int64_t count, float factor) {
  if (count == 0) return kOk;
  return launch(device, scale_kernel, blocks_for(count, kThreads), kThreads, x, count, factor);
}

Status dropout(Device* device, float* out, const float* x, const int32_t* keys, int64_t m, int64_t width,
               float probability, uint32_t stream, bool accumulate) {
  const int64_t blocks = ceil_div(width, 4), count = m * blocks;
  if (count == 0) return kOk;
  return launch(device, dropout_kernel, blocks_for(count, kThreads), kThreads, out, x, keys, width, blocks,
                count, probability, stream, 1.0f / (1.0f - probability), accumulate);
}

}  // namespace winnow::cuda
