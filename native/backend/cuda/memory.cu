// Memory of the device. The arena takes slabs by cudaMalloc and hands out parts of them, best fit first; what
// is larger than a slab has one of its own, which nothing else shares and so nothing keeps when it goes. All
// work is on one stream, so memory that is given back can be handed out again at once: what uses it next is
// queued behind what used it before.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "backend/cuda/device.h"

namespace winnow::cuda {
namespace {

constexpr size_t kAlignment = 256, kSlabBytes = size_t{64} << 20, kSlabUnit = size_t{2} << 20;

}  // namespace

struct Arena {
  struct Part {  // the parts of a slab follow each other
    char* data;
    size_t size_bytes;
    Part *before, *after;  // in the same slab
    Part* next;            // of all
    bool free;
  };
  Part* parts = nullptr;
  MemoryUse use = {};

  // The smallest free part that fits, or null.
  Part* find(size_t size_bytes) {
    Part* best = nullptr;
    for (Part* part = parts; part; part = part->next)
      if (part->free && part->size_bytes >= size_bytes && (!best || part->size_bytes < best->size_bytes))
        best = part;
    return best;
  }
  Part* add(char* data, size_t size_bytes, Part* before, Part* after) {
    auto* part = static_cast<Part*>(std::malloc(sizeof(Part)));
    *part = {data, size_bytes, before, after, parts, true};
    parts = part;
    return part;
  }
  void split(Part* part, size_t size_bytes) {
    if (part->size_bytes == size_bytes) return;
    Part* rest = add(part->data + size_bytes, part->size_bytes - size_bytes, part, part->after);
    if (part->after) part->after->before = rest;
    part->after = rest;
    part->size_bytes = size_bytes;
  }
  void unlink(Part* part) {
    Part** place = &parts;
    while (*place != part) place = &(*place)->next;
    *place = part->next;
    std::free(part);
  }
  Part* join(Part* part) {  // with its free neighbours
    if (Part* after = part->after; after && after->free) {
      part->size_bytes += after->size_bytes;
      part->after = after->after;
      if (part->after) part->after->before = part;
      unlink(after);
    }
    if (Part* before = part->before; before && before->free) return join(before);
    return part;
  }
};

Status check(Device* device, cudaError_t error, const char* what) {
  if (error == cudaSuccess) return kOk;
  std::snprintf(device->error, sizeof device->error, "%s: %s", what, cudaGetErrorString(error));
  if (error != cudaErrorMemoryAllocation) return kFailed;
  cudaGetLastError();  // a refused allocation leaves the device usable
  return kOutOfMemory;
}

Arena* make_arena() { return static_cast<Arena*>(std::calloc(1, sizeof(Arena))); }

void free_arena(Arena* arena) {
  for (Arena::Part* part = arena->parts; part;) {
    Arena::Part* next = part->next;
    if (!part->before) cudaFree(part->data);
    std::free(part);
    part = next;
  }
  std::free(arena);
}

MemoryUse memory(Device* device) { return device->arena->use; }

Status arena_allocate(Device* device, size_t size_bytes, void** data) {
  *data = nullptr;
  if (size_bytes > SIZE_MAX / 2) return kOutOfMemory;
  const size_t rounded =
      (size_bytes > 0 ? size_bytes + kAlignment - 1 : kAlignment) / kAlignment * kAlignment;
  const bool large = rounded > kSlabBytes;
  Arena::Part* part = large ? nullptr : device->arena->find(rounded);
  if (!part) {
    const size_t least = (rounded + kSlabUnit - 1) / kSlabUnit * kSlabUnit;
    // As many of its like as fit, so that a slab of a model's equal tensors has no rest.
    size_t slab = large ? least : (kSlabBytes / rounded * rounded + kSlabUnit - 1) / kSlabUnit * kSlabUnit;
    void* memory = nullptr;
    cudaError_t error = cudaMalloc(&memory, slab);
    if (error == cudaErrorMemoryAllocation && slab > least) {
      cudaGetLastError();
      slab = least;  // the last memory of a full device
      error = cudaMalloc(&memory, slab);
    }
    WINNOW_TRY(check(device, error, "allocating device memory"));
    device->arena->use.held_bytes += slab;
    part = device->arena->add(static_cast<char*>(memory), slab, nullptr, nullptr);
  }
  if (!large) device->arena->split(part, rounded);
  part->free = false;
  device->arena->use.used_bytes += part->size_bytes;
  *data = part->data;
  return kOk;
}

// A slab that is wholly free goes back to the device, so that a closed model leaves nothing behind.
Status arena_release(Device* device, void* data) {
  if (!data) return kOk;
  for (Arena::Part* part = device->arena->parts; part; part = part->next) {
    if (part->data != data || part->free) continue;
    part->free = true;
    device->arena->use.used_bytes -= part->size_bytes;
    part = device->arena->join(part);
    if (part->before || part->after) return kOk;
    device->arena->use.held_bytes -= part->size_bytes;
    void* slab = part->data;
    device->arena->unlink(part);
    return check(device, cudaFree(slab), "giving device memory back");
  }
  return check(device, cudaErrorInvalidValue, "releasing memory that was not allocated");
}

Status reserve(Device* device, void** data, size_t* capacity, size_t size_bytes) {
  if (size_bytes <= *capacity) return kOk;
  WINNOW_TRY(arena_release(device, *data));
  *data = nullptr;
  *capacity = 0;
  WINNOW_TRY(arena_allocate(device, size_bytes, data));
  *capacity = size_bytes;
  return kOk;
}

Status allocate(Device* device, size_t size_bytes, void** data) {
  return arena_allocate(device, size_bytes, data);
}
Status release(Device* device, void* data) { return arena_release(device, data); }

Status upload(Device* device, void* to, const void* host_from, size_t size_bytes) {
  for (size_t begin = 0; begin < size_bytes; begin += Device::kStageBytes) {
    const size_t count = size_bytes - begin < Device::kStageBytes ? size_bytes - begin : Device::kStageBytes;
    const int stage = device->next_stage;
    device->next_stage = (stage + 1) % Device::kStages;
    char* staging = device->staging + static_cast<size_t>(stage) * Device::kStageBytes;
    WINNOW_TRY(check(device, cudaEventSynchronize(device->staged[stage]), "waiting for an upload"));
    std::memcpy(staging, static_cast<const char*>(host_from) + begin, count);
    WINNOW_TRY(check(device,
                     cudaMemcpyAsync(static_cast<char*>(to) + begin, staging, count, cudaMemcpyHostToDevice,
                                     device->stream),
                     "uploading"));
    WINNOW_TRY(check(device, cudaEventRecord(device->staged[stage], device->stream), "recording an upload"));
  }
  return kOk;
}

Status wait(Device* device) {
  WINNOW_TRY(check(device,
                   cudaMemcpyAsync(device->host_fault, device->fault, sizeof(Fault), cudaMemcpyDeviceToHost,
                                   device->stream),
                   "reading the fault"));
  WINNOW_TRY(check(device, cudaStreamSynchronize(device->stream), "waiting for the device"));
  if (device->host_fault->kind == 0) return kOk;
  WINNOW_TRY(
      check(device, cudaMemsetAsync(device->fault, 0, sizeof(Fault), device->stream), "clearing the fault"));
  return static_cast<Status>(device->host_fault->kind);
}

Status read_back(Device* device, void* host_to, const void* from, size_t size_bytes) {
  if (size_bytes > 0)
    WINNOW_TRY(check(device,
                     cudaMemcpyAsync(host_to, from, size_bytes, cudaMemcpyDeviceToHost, device->stream),
                     "downloading"));
  return wait(device);
}

Status download(Device* device, void* host_to, const void* from, size_t size_bytes) {
  return read_back(device, host_to, from, size_bytes);
}

Status copy(Device* device, void* to, const void* from, size_t size_bytes) {
  if (size_bytes == 0) return kOk;
  return check(device, cudaMemcpyAsync(to, from, size_bytes, cudaMemcpyDeviceToDevice, device->stream),
               "copying");
}

Status zero(Device* device, void* data, size_t size_bytes) {
  if (size_bytes == 0) return kOk;
  return check(device, cudaMemsetAsync(data, 0, size_bytes, device->stream), "zeroing");
}

}  // namespace winnow::cuda
