// Products of bf16 operands on the tensor cores by mma.sync (PTX ISA, m16n8k16): four warps compute a tile of
// 64 x 64, each 32 x 32. Operands are rounded on their way to shared memory, where both tiles hold the
// depth along rows, padded so that the eight rows a fragment reads lie in different banks.
#include "backend/cuda/linear.h"

namespace winnow::cuda {
namespace {

constexpr int kTile = 64, kDepth = 32, kStride = kDepth + 8, kTileThreads = 128;

__device__ inline void mma(float* d, const uint32_t* a, const uint32_t* b) {
#ifdef WINNOW_EMULATED_CUDA
  winnow_emulated_mma(d, a, b);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Rows [first, first + kTile) and depths [l0, l0 + kDepth) of an operand; zeros outside of it.
template <bool kHalf>
__device__ inline void load_tile(uint16_t* tile, const void* data, int64_t first, int64_t rows, int64_t l0,
                                 int64_t depth, int64_t row_stride, int64_t depth_stride) {
  for (int e = static_cast<int>(threadIdx.x); e < kTile * kDepth; e += kTileThreads) {
    const int row = depth_stride == 1 ? e / kDepth : e % kTile,
              l = depth_stride == 1 ? e % kDepth : e / kTile;
    uint16_t value = 0;
    if (first + row < rows && l0 + l < depth) {
      const int64_t at = (first + row) * row_stride + (l0 + l) * depth_stride;
      value = kHalf ? static_cast<const uint16_t*>(data)[at] : to_bf16(static_cast<const float*>(data)[at]);
    }
    tile[row * kStride + l] = value;
  }
}

__device__ inline uint32_t pair_at(const uint16_t* tile, int row, int l) {
  return *reinterpret_cast<const uint32_t*>(tile + row * kStride + l);
}

// One depth of 16 onto a warp's 2 x 4 fragments.
__device__ inline void multiply(float (*sums)[4][4], const uint16_t* a_tile, const uint16_t* b_tile, int l) {
  const int g = lane_of() / 4, t = lane_of() % 4 * 2;
  uint32_t a[2][4], b[4][2];
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int part = 0; part < 4; ++part)
      a[i][part] = pair_at(a_tile, 16 * i + g + part % 2 * 8, l + t + part / 2 * 8);
#pragma unroll
  for (int j = 0; j < 4; ++j)
#pragma unroll
    for (int part = 0; part < 2; ++part) b[j][part] = pair_at(b_tile, 8 * j + g, l + t + part * 8);
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) mma(sums[i][j], a[i], b[j]);
}

template <bool kHalfB>
__global__ void __launch_bounds__(kTileThreads) product_kernel(Product p) {
  WINNOW_SHARED(uint16_t, a_tile, kTile* kStride);
  WINNOW_SHARED(uint16_t, b_tile, kTile* kStride);
  const int64_t tiles_i = (p.rows + kTile - 1) / kTile;
  const int64_t i0 = blockIdx.x % tiles_i * kTile, j0 = blockIdx.x / tiles_i * kTile;
  const int warp_i = warp_of() / 2 * 32, warp_j = warp_of() % 2 * 32;
  float sums[2][4][4] = {};
  for (int64_t l0 = 0; l0 < p.depth; l0 += kDepth) {
    load_tile<false>(a_tile, p.a, i0, p.rows, l0, p.depth, p.a_i, p.a_l);
    load_tile<kHalfB>(b_tile, p.b, j0, p.cols, l0, p.depth, p.b_j, p.b_l);
    __syncthreads();
#pragma unroll
    for (int l = 0; l < kDepth; l += 16)
      multiply(sums, a_tile + warp_i * kStride, b_tile + warp_j * kStride, l);
    __syncthreads();
  }
  const int g = lane_of() / 4, t = lane_of() % 4 * 2;
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        store_product(p, i0 + warp_i + 16 * i + g + e / 2 * 8, j0 + warp_j + 8 * j + t + e % 2,
                      sums[i][j][e]);
}

}  // namespace

Status product_bf16(Device* device, const Product& p) {
  const unsigned grid = blocks_for(p.rows, kTile) * blocks_for(p.cols, kTile);
  return p.b_is_bf16 ? launch(device, product_kernel<true>, grid, kTileThreads, p)
                     : launch(device, product_kernel<false>, grid, kTileThreads, p);
}

}  // namespace winnow::cuda
