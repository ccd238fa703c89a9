// Products of matrices: C (I, J) = sum over l of A(i, l) B(l, j), the three products of a linear layer being
//   forward  out = x . w^T       input gradient  dx = dout . w       weight gradient  dw += dout^T . x
// One kernel a format, with strides for the three layouts. An output is one chain in the order of l whatever
// the tile it is computed in, so a row does not depend on its batch.
#include "backend/cuda/linear.h"

namespace winnow::cuda {
namespace {

constexpr int kTile = 64, kDepth = 16, kPadded = kTile + 4;

// f32: 256 threads, each 4 x 4 outputs, fused multiply-adds.
__global__ void __launch_bounds__(kThreads) product_f32(Product p) {
  WINNOW_SHARED(float, a_tile, kDepth* kPadded);
  WINNOW_SHARED(float, b_tile, kDepth* kPadded);
  const int64_t tiles_i = (p.rows + kTile - 1) / kTile;
  const int64_t i0 = blockIdx.x % tiles_i * kTile, j0 = blockIdx.x / tiles_i * kTile;
  const int thread = static_cast<int>(threadIdx.x), ty = thread / 16, tx = thread % 16;
  float sums[4][4] = {};
  for (int64_t l0 = 0; l0 < p.depth; l0 += kDepth) {
    for (int e = thread; e < kTile * kDepth; e += kThreads) {
      const int ai = p.a_l == 1 ? e / kDepth : e % kTile, al = p.a_l == 1 ? e % kDepth : e / kTile;
      const int bj = p.b_l == 1 ? e / kDepth : e % kTile, bl = p.b_l == 1 ? e % kDepth : e / kTile;
      const bool has_a = i0 + ai < p.rows && l0 + al < p.depth, has_b = j0 + bj < p.cols && l0 + bl < p.depth;
      const auto* a = static_cast<const float*>(p.a);
      const auto* b = static_cast<const float*>(p.b);
      a_tile[al * kPadded + ai] = has_a ? a[(i0 + ai) * p.a_i + (l0 + al) * p.a_l] : 0.0f;
      b_tile[bl * kPadded + bj] = has_b ? b[(j0 + bj) * p.b_j + (l0 + bl) * p.b_l] : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int l = 0; l < kDepth; ++l)
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sums[i][j] = fmaf(a_tile[l * kPadded + ty + 16 * i], b_tile[l * kPadded + tx + 16 * j], sums[i][j]);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) store_product(p, i0 + ty + 16 * i, j0 + tx + 16 * j, sums[i][j]);
}

}  // namespace

Status product(Device* device, const Product& p, bool bf16) {
  if (p.rows == 0 || p.cols == 0) return kOk;
  if (bf16) return device->cublaslt ? cublaslt_product(device, p) : product_bf16(device, p);
  const unsigned grid = blocks_for(p.rows, kTile) * blocks_for(p.cols, kTile);
  return launch(device, product_f32, grid, kThreads, p);
}

namespace {

__global__ void pack_kernel(void* to, const void* from, int32_t format, bool bf16, int64_t count) {
  const int64_t i = global_thread();
  if (i >= count) return;
  const float value = number_at(from, format, i);
  if (bf16)
    static_cast<uint16_t*>(to)[i] = to_bf16(value);
  else
    static_cast<float*>(to)[i] = value;
}

}  // namespace

Status pack_weight(Device* device, void* to, const void* from, int32_t format, bool bf16, int64_t count) {
  if (count == 0) return kOk;
  return launch(device, pack_kernel, blocks_for(count, kThreads), kThreads, to, from, format, bf16, count);
}

Status linear_forward(Device* device, float* out, const float* x, const void* weight, const float* bias,
                      int64_t m, int64_t n, int64_t k, bool bf16, bool accumulate) {
  const Product p{.a = x,
                  .b = weight,
                  .bias = bias,
                  .c = out,
                  .rows = m,
                  .cols = n,
                  .depth = k,
                  .a_i = k,
                  .a_l = 1,
                  .b_j = k,
                  .b_l = 1,
                  .b_is_bf16 = bf16,
                  .accumulate = accumulate};
  return product(device, p, bf16);
}

Status linear_backward_input(Device* device, float* dx, const float* dout, const void* weight, int64_t m,
                             int64_t n, int64_t k, bool bf16, bool accumulate) {
  const Product p{.a = dout,
                  .b = weight,
                  .c = dx,
                  .rows = m,
                  .cols = k,
                  .depth = n,
                  .a_i = n,
                  .a_l = 1,
                  .b_j = 1,
                  .b_l = k,
                  .b_is_bf16 = bf16,
                  .accumulate = accumulate};
  return product(device, p, bf16);
}

Status linear_backward_weight(Device* device, float* dweight, const float* dout, const float* x, int64_t m,
                              int64_t n, int64_t k, bool bf16) {
  if (m == 0) return kOk;
  const Product p{.a = dout,
                  .b = x,
                  .c = dweight,
                  .rows = n,
                  .cols = k,
                  .depth = m,
                  .a_i = 1,
                  .a_l = n,
                  .b_j = 1,
                  .b_l = k,
                  .b_is_bf16 = false,
                  .accumulate = true};
  return product(device, p, bf16);
}

}  // namespace winnow::cuda
