// What the kernels' files share: the device, its memory, how kernels are launched and small device functions.
//
// The files compile with nvcc, and with a C++ compiler after test/native/emulated_cuda.h. For that they keep
// to a subset: shared memory by shared_array, full warps at every collective, one-dimensional blocks, no
// float atomics, and multiply-adds that are meant to be fused written as fmaf (nvcc is told not to fuse
// others).
#pragma once

#ifndef WINNOW_EMULATED_CUDA
#include <cuda_runtime.h>
#endif

#include <cstdint>

#include "backend/cuda/table.h"

namespace winnow::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kKeyLanes = 16;  // positions of a key/value block
constexpr float kMinusInfinity = -__builtin_huge_valf();
// exp of this is 0; keeps 0 * (z - maximum) from being 0 * -infinity.
constexpr float kNegligible = -128.0f;

struct Arena;
struct CublasLt;

struct Device {
  int ordinal = 0, multiprocessors = 0;
  cudaStream_t stream = nullptr;
  Arena* arena = nullptr;
  CublasLt* cublaslt = nullptr;  // null: own products

  // Host memory that copies pass through, in parts that are written again when their copy has ended.
  static constexpr int kStages = 4;
  static constexpr size_t kStageBytes = size_t{1} << 20;
  char* staging = nullptr;
  cudaEvent_t staged[kStages] = {};
  int next_stage = 0;

  Fault* fault = nullptr;       // device
  Fault* host_fault = nullptr;  // pinned: as of the last wait
  void* scratch = nullptr;      // of one operation; the stream orders its users
  size_t scratch_bytes = 0;

  struct KeptPlan {
    int32_t *words = nullptr, *paths = nullptr;  // as it came, and a slot for every position
    size_t words_capacity = 0, paths_capacity = 0;
    int32_t* host_words = nullptr;
    size_t host_capacity = 0;
    int64_t count = 0;  // of words; 0: none is kept
  };
  KeptPlan plans[2];  // the last without tiles of keys, and the last with them, which backward needs

  char error[256] = {};
};

// Notes what the runtime said and turns it into a Status.
Status check(Device* device, cudaError_t error, const char* what);
// For the library itself, never from a reservation: it would outlive what that was made for.
Status arena_allocate(Device* device, size_t size_bytes, void** data);
Status arena_release(Device* device, void* data);
// Grows `*data` to `size_bytes`; contents undefined.
Status grow(Device* device, void** data, size_t* capacity, size_t size_bytes);
template <typename T>
Status scratch(Device* device, int64_t count, T** data) {
  const Status status =
      grow(device, &device->scratch, &device->scratch_bytes, static_cast<size_t>(count) * sizeof(T));
  *data = static_cast<T*>(device->scratch);
  return status;
}
Status upload(Device* device, void* to, const void* host_from, size_t size_bytes);
Status wait(Device* device);  // for the stream, and reads the fault
Status read_back(Device* device, void* host_to, const void* from, size_t size_bytes);  // and waits

// Notes the first of `count` indices outside [0, extent) as a fault.
Status check_indices(Device* device, const int32_t* indices, int64_t count, int64_t extent,
                     FaultSource source);

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int kThreads = 256;
inline unsigned blocks_for(int64_t items, int64_t each) {
  return static_cast<unsigned>(ceil_div(items, each));
}

#define WINNOW_TRY(expression)                           \
  do {                                                   \
    const ::winnow::cuda::Status status_ = (expression); \
    if (status_ != ::winnow::cuda::kOk) return status_;  \
  } while (0)

// launch(device, kernel, grid, threads, arguments...): queues a kernel.
#ifdef WINNOW_EMULATED_CUDA
template <typename... Parameters, typename... Arguments>
Status launch(Device*, void (*kernel)(Parameters...), dim3 grid, int threads, Arguments... arguments) {
  emulated::launch(grid, static_cast<unsigned>(threads), [&] { kernel(arguments...); });
  return kOk;
}
template <typename T>
T* shared_array(int count) {
  return static_cast<T*>(emulated::shared(static_cast<size_t>(count) * sizeof(T)));
}
#define WINNOW_SHARED(type, name, count) type* const name = ::winnow::cuda::shared_array<type>(count)
#else
template <typename... Parameters, typename... Arguments>
Status launch(Device* device, void (*kernel)(Parameters...), dim3 grid, int threads, Arguments... arguments) {
  // clang-format off
  kernel<<<grid, threads, 0, device->stream>>>(arguments...);
  // clang-format on
  return check(device, cudaGetLastError(), "launching a kernel");
}
#define WINNOW_SHARED(type, name, count) __shared__ __align__(16) type name[count]
#endif

// ---- device functions ----------------------------------------------------------------------------------

__device__ inline int64_t global_thread() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline int lane_of() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ inline int warp_of() { return static_cast<int>(threadIdx.x) / kWarp; }

// The same sum in every lane, in a fixed order.
template <typename T>
__device__ inline T warp_sum(T value) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) value += __shfl_xor_sync(kAllLanes, value, lanes);
  return value;
}
__device__ inline float warp_max(float value) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2)
    value = max(value, __shfl_xor_sync(kAllLanes, value, lanes));
  return value;
}

// The same in every thread of a block of up to kThreads; `shared` has an entry a warp.
template <typename T, typename Join>
__device__ inline T block_join(T value, T* shared, const Join& join) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2)
    value = join(value, __shfl_xor_sync(kAllLanes, value, lanes));
  if (blockDim.x == kWarp) return value;
  __syncthreads();
  if (lane_of() == 0) shared[warp_of()] = value;
  __syncthreads();
  T joined = shared[0];
  for (int warp = 1; warp < static_cast<int>(blockDim.x) / kWarp; ++warp) joined = join(joined, shared[warp]);
  return joined;
}
template <typename T>
__device__ inline T block_sum(T value, T* shared) {
  return block_join(value, shared, [](T a, T b) { return a + b; });
}
template <typename T>
__device__ inline T block_max(T value, T* shared) {
  return block_join(value, shared, [](T a, T b) { return max(a, b); });
}

// Round to nearest, ties to even; NaN stays NaN.
__device__ inline uint16_t to_bf16(float value) {
  const uint32_t bits = __float_as_uint(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
__device__ inline float from_bf16(uint16_t value) {
  return __uint_as_float(static_cast<uint32_t>(value) << 16);
}
__device__ inline float from_f16(uint16_t value) {
  const uint32_t sign = static_cast<uint32_t>(value & 0x8000u) << 16;
  const uint32_t exponent = (value >> 10) & 0x1fu, mantissa = value & 0x3ffu;
  if (exponent == 0x1f) return __uint_as_float(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return __uint_as_float(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}
// Element `index` of numbers in the format of Table::pack_weight.
__device__ inline float number_at(const void* data, int32_t format, int64_t index) {
  if (format == 0) return static_cast<const float*>(data)[index];
  const uint16_t half = static_cast<const uint16_t*>(data)[index];
  return format == 1 ? from_bf16(half) : from_f16(half);
}

}  // namespace winnow::cuda
