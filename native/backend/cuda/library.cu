// winnow_cuda.so: opening a device, and the table of its operations.
#include "backend/cuda/library.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>

namespace winnow::cuda {
namespace {

__global__ void probe_kernel() {}

Status of_error(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return kOk;
    case cudaErrorInsufficientDriver:
      return kDriverTooOld;
    case cudaErrorNoDevice:
      return kNoDevice;
    case cudaErrorInvalidDevice:
      return kNoSuchDevice;
    case cudaErrorNoKernelImageForDevice:
      return kNotBuiltFor;
    case cudaErrorMemoryAllocation:
      return kOutOfMemory;
    default:
      return kFailed;
  }
}

// What there is, as far as it can be told: `info` is filled up to the first refusal.
Status probe(int32_t ordinal, DeviceInfo* info) {
  std::memset(info, 0, sizeof *info);
  cudaRuntimeGetVersion(&info->runtime_version);
  cudaDriverGetVersion(&info->driver_version);
  if (info->driver_version == 0) return kNoDriver;
  const cudaError_t counted = cudaGetDeviceCount(&info->devices);
  if (counted != cudaSuccess) return of_error(counted);
  if (info->devices == 0) return kNoDevice;
  if (ordinal < 0 || ordinal >= info->devices) return kNoSuchDevice;
  cudaDeviceProp properties;
  int major = 0, minor = 0;
  for (const cudaError_t error :
       {cudaSetDevice(ordinal), cudaGetDeviceProperties(&properties, ordinal),
        cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, ordinal),
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, ordinal),
        cudaDeviceGetAttribute(&info->multiprocessors, cudaDevAttrMultiProcessorCount, ordinal)})
    if (error != cudaSuccess) return of_error(error);
  std::snprintf(info->name, sizeof info->name, "%s", properties.name);
  info->capability = 10 * major + minor;
  size_t free_bytes = 0, total_bytes = 0;
  const cudaError_t measured = cudaMemGetInfo(&free_bytes, &total_bytes);
  if (measured != cudaSuccess) return of_error(measured);
  info->free_bytes = free_bytes;
  info->total_bytes = total_bytes;
  cudaFuncAttributes attributes;
  return of_error(cudaFuncGetAttributes(&attributes, probe_kernel));
}

void close(Device* device) {
  cudaStreamSynchronize(device->stream);
  if (device->cublaslt) close_cublaslt(device->cublaslt);
  if (device->arena) free_arena(device->arena);
  if (device->staging) cudaFreeHost(device->staging);
  if (device->host_fault) cudaFreeHost(device->host_fault);
  for (cudaEvent_t event : device->staged)
    if (event) cudaEventDestroy(event);
  if (device->stream) cudaStreamDestroy(device->stream);
  for (const Device::KeptPlan& plan : device->plans) std::free(plan.host_words);
  std::free(device);
}

Status prepare(Device* device) {
  WINNOW_TRY(
      check(device, cudaStreamCreateWithFlags(&device->stream, cudaStreamNonBlocking), "making a stream"));
  device->arena = make_arena();
  for (cudaEvent_t& event : device->staged) {
    WINNOW_TRY(check(device, cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event"));
    WINNOW_TRY(check(device, cudaEventRecord(event, device->stream), "recording an event"));
  }
  WINNOW_TRY(
      check(device,
            cudaMallocHost(reinterpret_cast<void**>(&device->staging), Device::kStages * Device::kStageBytes),
            "allocating pinned memory"));
  WINNOW_TRY(check(device, cudaMallocHost(reinterpret_cast<void**>(&device->host_fault), sizeof(Fault)),
                   "allocating pinned memory"));
  WINNOW_TRY(arena_allocate(device, sizeof(Fault), reinterpret_cast<void**>(&device->fault)));
  WINNOW_TRY(zero(device, device->fault, sizeof(Fault)));
  return self_test(device);
}

Status open(int32_t ordinal, Gemm gemm, GemmChoice choice, Device** opened, DeviceInfo* info) {
  *opened = nullptr;
  WINNOW_TRY(probe(ordinal, info));
  auto* device = new (std::malloc(sizeof(Device))) Device();
  device->ordinal = ordinal;
  device->multiprocessors = info->multiprocessors;
  const Status status = prepare(device);
  if (status != kOk) {
    std::snprintf(info->gemm_note, sizeof info->gemm_note, "%s", device->error);
    close(device);
    return status;
  }
  std::snprintf(info->gemm, sizeof info->gemm, "own");
  if (gemm != kGemmOwn) device->cublaslt = open_cublaslt(choice, info);
  *opened = device;
  return kOk;
}

Status take_fault(Device* device, Fault* fault) {
  *fault = *device->host_fault;
  device->host_fault->kind = kOk;
  return kOk;
}

const char* last_error(Device* device) { return device->error; }

Status enter(Device* device) { return check(device, cudaSetDevice(device->ordinal), "choosing the device"); }

constexpr Table kTable = {
    .version = kTableVersion,
    .size_bytes = sizeof(Table),
#ifdef WINNOW_CUDA_ARCHITECTURES
    .architectures = WINNOW_CUDA_ARCHITECTURES,
#else
    .architectures = "emulated",
#endif
    .probe = probe,
    .open = open,
    .close = close,
    .enter = enter,
    .take_fault = take_fault,
    .last_error = last_error,
    .memory = memory,
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .copy = copy,
    .zero = zero,
    .available = available,
    .reserve = reserve,
    .pack_weight = pack_weight,
    .linear_forward = linear_forward,
    .linear_backward_input = linear_backward_input,
    .linear_backward_weight = linear_backward_weight,
    .bias_backward = bias_backward,
    .gather = gather,
    .scatter_add = scatter_add,
    .rms_norm_forward = rms_norm_forward,
    .rms_norm_backward = rms_norm_backward,
    .rope = rope,
    .swiglu_forward = swiglu_forward,
    .swiglu_backward = swiglu_backward,
    .kv_write = kv_write,
    .rope_kv_write = rope_kv_write,
    .attention_forward = attention_forward,
    .attention_backward = attention_backward,
    .softmax_statistics = softmax_statistics,
    .softmax_backward = softmax_backward,
    .policy_loss = policy_loss,
    .sample = sample,
    .scale = scale,
    .dropout = dropout,
    .squared_norm = squared_norm,
    .adamw = adamw,
    .adamw_8bit = adamw_8bit,
    .pack_master = pack_master,
    .unpack_master = unpack_master,
};

}  // namespace
}  // namespace winnow::cuda

extern "C" __attribute__((visibility("default"))) const winnow::cuda::Table* winnow_cuda_table() {
  return &winnow::cuda::kTable;
}
