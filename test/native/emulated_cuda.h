// CUDA on plain C++, so that the kernels of native/backend/cuda run on a processor without a GPU. Included
// before the .cu files by the preset `emulated-cuda`; x86-64 alone.
//
// Blocks run one after the other; the threads of a block are fibers that run until they reach a collective
// (barrier, shuffle, vote, matrix product). What a device would only sometimes show fails here every time:
// a collective that not all its threads reach, shared memory read before it is written (it starts as NaN), a
// host that reads device memory (it is unmapped outside kernels and copies). Threads run upwards and
// downwards in turn, so that a missing barrier changes results from launch to launch.
#pragma once

#include <dlfcn.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#define WINNOW_EMULATED_CUDA 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) float4 {
  float x, y, z, w;
};

namespace winnow::emulated {

struct Thread {
  uint3 index;
  unsigned linear;
};
extern Thread* current;
extern dim3 block_extent, grid_extent;
extern uint3 block_index;

using Body = void (*)(const void* closure);
void launch(dim3 grid, unsigned threads, Body body, const void* closure);
template <typename Closure>
void launch(dim3 grid, unsigned threads, const Closure& closure) {
  launch(grid, threads, [](const void* body) { (*static_cast<const Closure*>(body))(); }, &closure);
}

// While one lives, kernels, copies and fills do nothing and reads give zeros, on a device that has
// `free_bytes` left, none of which is touched: what a large model allocates, without its work.
struct DryRun {
  explicit DryRun(size_t free_bytes);
  ~DryRun();
};
extern bool dry;
extern size_t allocations, uploads;  // calls of cudaMalloc that gave memory, copies to the device, so far

// While one lives, every call that touches the device fails, as after a fault in a kernel.
struct FailedDevice {
  FailedDevice();
  ~FailedDevice();
};
extern bool failed;

struct DeviceAccess {  // device memory may be touched while one lives
  DeviceAccess();
  ~DeviceAccess();
};

extern double clock_milliseconds;  // stands still but for products of the emulated cuBLASLt

// Collectives. Every thread of the group must arrive at the same kind of collective.
void barrier();
int barrier_or(int predicate);
// Gives `words` of this lane to the warp; returns those of lane 0, 1, ... with `kMostWords` between.
constexpr int kMostWords = 12;
const uint32_t* exchange(const uint32_t* words, int count);
// The same address in every thread of the block, in the order of the calls; starts as NaN.
void* shared(size_t size_bytes);

}  // namespace winnow::emulated

// Libraries that kernels' files open: cuBLASLt by the name "emulated" (emulated_cublaslt.cc) and no other.
void* winnow_emulated_dlopen(const char* path, int flags);
void* winnow_emulated_dlsym(void* library, const char* name);
inline int winnow_emulated_dlclose(void*) { return 0; }
inline const char* winnow_emulated_dlerror() { return "no such library where CUDA is emulated"; }
#define dlopen winnow_emulated_dlopen
#define dlsym winnow_emulated_dlsym
#define dlclose winnow_emulated_dlclose
#define dlerror winnow_emulated_dlerror

#define threadIdx (::winnow::emulated::current->index)
#define blockIdx (::winnow::emulated::block_index)
#define blockDim (::winnow::emulated::block_extent)
#define gridDim (::winnow::emulated::grid_extent)

inline void __syncthreads() { winnow::emulated::barrier(); }
inline int __syncthreads_or(int predicate) { return winnow::emulated::barrier_or(predicate); }
inline void __syncwarp(unsigned = ~0u) { winnow::emulated::exchange(nullptr, 0); }

template <typename T>
T winnow_emulated_shuffle(T value, unsigned lane) {
  constexpr int kWords = sizeof(T) / 4;
  uint32_t words[kWords];
  std::memcpy(words, &value, sizeof(T));
  const uint32_t* all = winnow::emulated::exchange(words, kWords);
  std::memcpy(&value, all + lane % 32 * winnow::emulated::kMostWords, sizeof(T));
  return value;
}
template <typename T>
T __shfl_sync(unsigned, T value, int lane) {
  return winnow_emulated_shuffle(value, static_cast<unsigned>(lane));
}
template <typename T>
T __shfl_xor_sync(unsigned, T value, int lanes) {
  return winnow_emulated_shuffle(value,
                                 winnow::emulated::current->linear % 32 ^ static_cast<unsigned>(lanes));
}
inline unsigned __ballot_sync(unsigned, int predicate) {
  const uint32_t word = predicate != 0;
  const uint32_t* all = winnow::emulated::exchange(&word, 1);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane) votes |= all[lane * winnow::emulated::kMostWords] << lane;
  return votes;
}

inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
template <typename T>
T min(T a, T b) {
  return b < a ? b : a;
}
template <typename T>
T max(T a, T b) {
  return a < b ? b : a;
}
using std::exp;
using std::expm1;
using std::fabs;
using std::isfinite;
using std::log;

// Sum onto d of a (16, 16) . b (16, 8), by the fragments of mma.sync.aligned.m16n8k16.row.col (PTX ISA,
// "Matrix Fragments for mma.m16n8k16"): with g = lane / 4 and t = lane % 4 a lane holds
//   a: rows g, g + 8, g, g + 8, columns 2t and 2t + 1 (first two), 8 more (last two)
//   b: rows 2t and 2t + 1, then 8 more, of column g        d: rows g, g, g + 8, g + 8, columns 2t, 2t + 1
void winnow_emulated_mma(float* d, const uint32_t* a, const uint32_t* b);

// ---- the runtime: device memory is host memory that only kernels and copies may touch -----------------
enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorIllegalAddress = 700,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorNoKernelImageForDevice = 209
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaDeviceAttr {
  cudaDevAttrComputeCapabilityMajor,
  cudaDevAttrComputeCapabilityMinor,
  cudaDevAttrMultiProcessorCount
};
constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;
using cudaStream_t = struct EmulatedStream*;
struct EmulatedEvent {
  double milliseconds;  // when it was recorded
};
using cudaEvent_t = EmulatedEvent*;
struct cudaDeviceProp {
  char name[256];
};
struct cudaFuncAttributes {};

cudaError_t cudaMalloc(void** data, size_t size_bytes);
cudaError_t cudaFree(void* data);
cudaError_t cudaMallocHost(void** data, size_t size_bytes);
cudaError_t cudaFreeHost(void* data);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size_bytes, cudaMemcpyKind, cudaStream_t);
cudaError_t cudaMemsetAsync(void* data, int value, size_t size_bytes, cudaStream_t);
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes);
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return winnow::emulated::failed ? cudaErrorIllegalAddress : cudaSuccess;
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = nullptr;
  return cudaSuccess;
}
inline cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new EmulatedEvent{};
  return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  if (event) event->milliseconds = winnow::emulated::clock_milliseconds;
  return cudaSuccess;
}
inline cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = static_cast<float>(end->milliseconds - begin->milliseconds);
  return cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
inline cudaError_t cudaRuntimeGetVersion(int* version) { return cudaDriverGetVersion(version); }
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount      ? 4
           : attribute == cudaDevAttrComputeCapabilityMajor ? 9
                                                            : 0;
  return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::strcpy(properties->name, "emulated on the processor");
  return cudaSuccess;
}
template <typename Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, Kernel*) {
  return cudaSuccess;
}
inline const char* cudaGetErrorString(cudaError_t) { return "emulated failure"; }
