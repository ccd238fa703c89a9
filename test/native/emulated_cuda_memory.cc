// Device memory behind emulated_cuda.h: host memory that is unmapped while the host runs.
#include "emulated_cuda.h"

#if WINNOW_EMULATE_CUDA

#include <sys/mman.h>

#include <cstddef>
#include <vector>

namespace winnow::emulated {
namespace {

struct Mapping {
  void* data;
  size_t size_bytes;
};
std::vector<Mapping>& mappings() {
  static std::vector<Mapping> all;
  return all;
}

void protect(int protection) {
  for (const Mapping& mapping : mappings()) mprotect(mapping.data, mapping.size_bytes, protection);
}

constexpr size_t kDeviceBytes = size_t{4} << 30;
size_t device_bytes = kDeviceBytes, held_bytes = 0;

}  // namespace

double clock_milliseconds = 0;
bool dry = false, failed = false;
size_t allocations = 0, uploads = 0;

DryRun::DryRun(size_t free_bytes) {
  dry = true;
  device_bytes = held_bytes + free_bytes;
}
DryRun::~DryRun() {
  dry = false;
  device_bytes = kDeviceBytes;
}

FailedDevice::FailedDevice() { failed = true; }
FailedDevice::~FailedDevice() { failed = false; }

DeviceAccess::DeviceAccess() { protect(PROT_READ | PROT_WRITE); }
DeviceAccess::~DeviceAccess() { protect(PROT_NONE); }

}  // namespace winnow::emulated

using winnow::emulated::device_bytes, winnow::emulated::held_bytes, winnow::emulated::failed;

cudaError_t cudaMalloc(void** data, size_t size_bytes) {
  if (failed) return cudaErrorIllegalAddress;
  if (size_bytes > device_bytes - held_bytes) return cudaErrorMemoryAllocation;
  void* mapped = mmap(nullptr, size_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return cudaErrorMemoryAllocation;
  held_bytes += size_bytes;
  ++winnow::emulated::allocations;
  winnow::emulated::mappings().push_back({mapped, size_bytes});
  *data = mapped;
  return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  if (failed) return cudaErrorIllegalAddress;
  auto& all = winnow::emulated::mappings();
  for (size_t i = 0; i < all.size(); ++i)
    if (all[i].data == data) {
      munmap(data, all[i].size_bytes);
      held_bytes -= all[i].size_bytes;
      all.erase(all.begin() + static_cast<ptrdiff_t>(i));
      break;
    }
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** data, size_t size_bytes) {
  *data = std::malloc(size_bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  std::free(data);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size_bytes, cudaMemcpyKind kind,
                            cudaStream_t) {
  if (failed) return cudaErrorIllegalAddress;
  winnow::emulated::uploads += kind == cudaMemcpyHostToDevice;
  if (winnow::emulated::dry) {
    if (kind == cudaMemcpyDeviceToHost) std::memset(to, 0, size_bytes);
    return cudaSuccess;
  }
  const winnow::emulated::DeviceAccess access;
  std::memmove(to, from, size_bytes);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* data, int value, size_t size_bytes, cudaStream_t) {
  if (winnow::emulated::dry) return cudaSuccess;
  const winnow::emulated::DeviceAccess access;
  std::memset(data, value, size_bytes);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  *total_bytes = device_bytes;
  *free_bytes = device_bytes - held_bytes;
  return cudaSuccess;
}

#endif
