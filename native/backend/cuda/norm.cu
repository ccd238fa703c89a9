// RMS norm and sums over columns. Formulas: backend/reference/norm.cc.
#include "backend/cuda/device.h"

namespace winnow::cuda {
namespace {

constexpr int kRowsPerBlock = kThreads / kWarp;  // a warp a row
constexpr int64_t kChunkRows = 128;              // a partial sum over rows

__global__ void forward_kernel(float* out, float* rstd, const float* x, const float* weight, int64_t m,
                               int64_t width, float epsilon) {
  const int64_t row = int64_t{blockIdx.x} * kRowsPerBlock + warp_of();
  if (row >= m) return;
  const float* from = x + row * width;
  float squares = 0;
  for (int64_t d = lane_of(); d < width; d += kWarp) squares = fmaf(from[d], from[d], squares);
  const float r = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(width) + epsilon);
  for (int64_t d = lane_of(); d < width; d += kWarp) out[row * width + d] = from[d] * r * weight[d];
  if (rstd && lane_of() == 0) rstd[row] = r;
}

__global__ void backward_kernel(float* dx, const float* dout, const float* x, const float* rstd,
                                const float* weight, int64_t m, int64_t width, bool accumulate) {
  const int64_t row = int64_t{blockIdx.x} * kRowsPerBlock + warp_of();
  if (row >= m) return;
  const float r = rstd[row];
  float products = 0;
  for (int64_t d = lane_of(); d < width; d += kWarp)
    products = fmaf(dout[row * width + d] * weight[d], x[row * width + d], products);
  const float c = -(r * r / static_cast<float>(width) * warp_sum(products));
  for (int64_t d = lane_of(); d < width; d += kWarp) {
    const int64_t at = row * width + d;
    const float inner = fmaf(x[at], c, dout[at] * weight[d]);
    dx[at] = fmaf(inner, r, accumulate ? dx[at] : 0.0f);
  }
}

// partial (chunks, width): sums over kChunkRows rows, in order, of dout, or with x of dout * x * rstd.
__global__ void column_partials(float* partial, const float* dout, const float* x, const float* rstd,
                                int64_t m, int64_t width) {
  const int64_t d = global_thread(), begin = int64_t{blockIdx.y} * kChunkRows;
  if (d >= width) return;
  float sum = 0;
  for (int64_t row = begin; row < min(m, begin + kChunkRows); ++row) {
    const float g = dout[row * width + d];
    sum = x ? fmaf(g, x[row * width + d] * rstd[row], sum) : sum + g;
  }
  partial[int64_t{blockIdx.y} * width + d] = sum;
}

__global__ void add_partials(float* sums, const float* partial, int64_t chunks, int64_t width) {
  const int64_t d = global_thread();
  if (d >= width) return;
  float sum = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * width + d];
  sums[d] += sum;
}

// sums (width) += the column sums, by a grid no higher than a device allows.
Status add_columns(Device* device, float* sums, const float* dout, const float* x, const float* rstd,
                   int64_t m, int64_t width) {
  constexpr int64_t kMostChunks = 32768;
  for (int64_t begin = 0; begin < m; begin += kMostChunks * kChunkRows) {
    const int64_t rows = min(m - begin, kMostChunks * kChunkRows), chunks = ceil_div(rows, kChunkRows);
    float* partial = nullptr;
    WINNOW_TRY(scratch(device, chunks * width, &partial));
    const dim3 grid(blocks_for(width, kThreads), static_cast<unsigned>(chunks));
    WINNOW_TRY(launch(device, column_partials, grid, kThreads, partial, dout + begin * width,
                      x ? x + begin * width : nullptr, x ? rstd + begin : nullptr, rows, width));
    WINNOW_TRY(
        launch(device, add_partials, blocks_for(width, kThreads), kThreads, sums, partial, chunks, width));
  }
  return kOk;
}

}  // namespace

Status rms_norm_forward(Device* device, float* out, float* rstd, const float* x, const float* weight,
                        int64_t m, int64_t width, float epsilon) {
  if (m == 0) return kOk;
  return launch(device, forward_kernel, blocks_for(m, kRowsPerBlock), kThreads, out, rstd, x, weight, m,
                width, epsilon);
}

Status rms_norm_backward(Device* device, float* dx, float* dweight, const float* dout, const float* x,
                         const float* rstd, const float* weight, int64_t m, int64_t width, bool accumulate) {
  if (m * width == 0) return kOk;
  if (dweight)
    WINNOW_TRY(add_columns(device, dweight, dout, x, rstd, m, width));  // first: dx may overwrite dout
  return launch(device, backward_kernel, blocks_for(m, kRowsPerBlock), kThreads, dx, dout, x, rstd, weight, m,
                width, accumulate);
}

Status bias_backward(Device* device, float* dbias, const float* dout, int64_t m, int64_t n) {
  if (m * n == 0) return kOk;
  return add_columns(device, dbias, dout, nullptr, nullptr, m, n);
}

}  // namespace winnow::cuda
