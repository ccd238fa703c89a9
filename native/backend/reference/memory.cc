// Memory: the host's own.
#include <cstring>

#include "backend/reference/reference.h"
#include "base/available_memory.h"
#include "base/aligned_memory.h"

namespace winnow::reference {

void* allocate(Context&, size_t size_bytes) { return allocate_aligned(size_bytes); }

void release(Context&, void* data) { release_aligned(data); }

void copy(Context&, void* to, const void* from, size_t size_bytes) {
  if (size_bytes) std::memcpy(to, from, size_bytes);
}

void upload(Context& context, void* device, const void* host, size_t size_bytes) {
  copy(context, device, host, size_bytes);
}

void download(Context& context, void* host, const void* device, size_t size_bytes) {
  copy(context, host, device, size_bytes);
}

void zero(Context&, void* data, size_t size_bytes) {
  if (size_bytes) std::memset(data, 0, size_bytes);
}

int64_t available_bytes(Context&) { return available_memory_bytes(); }

void reserve(Context&, size_t) {}

}  // namespace winnow::reference
