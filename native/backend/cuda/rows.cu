// Rows picked by index and the gradients that go back to them. Bad indices are found before anything is
// written: the kernels behind the check do nothing once there is a fault.
#include "backend/cuda/device.h"

namespace winnow::cuda {
namespace {

// One block. The smallest bad row, so that the message does not depend on timing.
__global__ void check_kernel(Fault* fault, const int32_t* indices, int64_t count, int64_t extent,
                             int32_t source) {
  WINNOW_SHARED(int64_t, shared, kThreads);
  int64_t first = count;
  for (int64_t i = threadIdx.x; i < count; i += kThreads)
    if (first == count && (indices[i] < 0 || indices[i] >= extent)) first = i;
  shared[threadIdx.x] = first;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < kThreads; ++i) first = min(first, shared[i]);
  if (first < count && fault->kind == kOk)
    *fault = {kBadIndex, source, static_cast<int32_t>(first), indices[first], static_cast<int32_t>(extent)};
}

__global__ void gather_kernel(const Fault* fault, float* out, const void* table, const int32_t* rows,
                              int32_t format, bool bf16, int64_t width, int64_t count) {
  const int64_t i = global_thread();
  if (i >= count || fault->kind != kOk) return;
  const float value = number_at(table, format, int64_t{rows[i / width]} * width + i % width);
  out[i] = bf16 ? from_bf16(to_bf16(value)) : value;
}

// A block for every row of `from`: the first with its index adds it and all later ones with the same index,
// in order, and the others do nothing.
__global__ void scatter_kernel(const Fault* fault, float* table, const float* from, const int32_t* rows,
                               int64_t m, int64_t width) {
  WINNOW_SHARED(int, same, kThreads);
  const int64_t mine = blockIdx.x;
  const int32_t row = rows[mine];
  if (fault->kind != kOk) return;
  int earlier = 0;
  for (int64_t i = threadIdx.x; i < mine; i += kThreads) earlier |= rows[i] == row;
  if (__syncthreads_or(earlier)) return;
  for (int64_t begin = mine; begin < m; begin += kThreads) {
    const int64_t i = begin + threadIdx.x;
    same[threadIdx.x] = i < m && rows[i] == row;
    if (!__syncthreads_or(same[threadIdx.x])) continue;
    for (int64_t d = threadIdx.x; d < width; d += kThreads) {
      float sum = table[row * width + d];
      for (int k = 0; k < kThreads; ++k)
        if (same[k]) sum += from[(begin + k) * width + d];
      table[row * width + d] = sum;
    }
    __syncthreads();
  }
}

}  // namespace

Status check_indices(Device* device, const int32_t* indices, int64_t count, int64_t extent,
                     FaultSource source) {
  if (count == 0) return kOk;
  return launch(device, check_kernel, 1, kThreads, device->fault, indices, count, extent,
                static_cast<int32_t>(source));
}

Status gather(Device* device, float* out, const void* table, const int32_t* rows, int32_t format, bool bf16,
              int64_t m, int64_t table_rows, int64_t width, FaultSource source) {
  WINNOW_TRY(check_indices(device, rows, m, table_rows, source));
  if (m * width == 0) return kOk;
  return launch(device, gather_kernel, blocks_for(m * width, kThreads), kThreads, device->fault, out, table,
                rows, format, bf16, width, m * width);
}

Status scatter_add(Device* device, float* table, const float* from, const int32_t* rows, int64_t m,
                   int64_t table_rows, int64_t width, FaultSource source) {
  WINNOW_TRY(check_indices(device, rows, m, table_rows, source));
  if (m * width == 0) return kOk;
  return launch(device, scatter_kernel, static_cast<unsigned>(m), kThreads, device->fault, table, from, rows,
                m, width);
}

}  // namespace winnow::cuda
