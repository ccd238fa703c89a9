// Memory of the device. The arena takes slabs by cudaMalloc and hands out parts of them, best fit first; what
// is larger than a slab has one of its own, which nothing else shares and so nothing keeps when it goes. A
// reservation is one slab for all that the engine allocates while it is open. Afterwards what is free in it
// serves only where the device has nothing left, so that it goes back with what it was made for. All work is
// on one stream, so memory that is given back can be handed out again at once: what uses it next is queued
// behind what used it before.
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
    uint64_t reservation;  // of its slab; 0: none
  };
  Part* parts = nullptr;
  MemoryUse use = {};
  uint64_t open = 0, reservations = 0;  // the reservation that is open, or 0; how many there were

  // The smallest free part that fits, or null, where `eligible` admits it.
  template <typename Eligible>
  Part* find(size_t size_bytes, const Eligible& eligible) {
    Part* best = nullptr;
    for (Part* part = parts; part; part = part->next)
      if (part->free && part->size_bytes >= size_bytes && eligible(*part) &&
          (!best || part->size_bytes < best->size_bytes))
        best = part;
    return best;
  }
  Part* add(char* data, size_t size_bytes, Part* before, Part* after, uint64_t reservation) {
    auto* part = static_cast<Part*>(std::malloc(sizeof(Part)));
    *part = {data, size_bytes, before, after, parts, true, reservation};
    parts = part;
    return part;
  }
  void split(Part* part, size_t size_bytes) {
    if (part->size_bytes == size_bytes) return;
    Part* rest =
        add(part->data + size_bytes, part->size_bytes - size_bytes, part, part->after, part->reservation);
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

namespace {

// A slab, all of it free.
Status take_slab(Device* device, size_t size_bytes, uint64_t reservation, Arena::Part** part) {
  void* memory = nullptr;
  WINNOW_TRY(check(device, cudaMalloc(&memory, size_bytes), "allocating device memory"));
  device->arena->use.held_bytes += size_bytes;
  *part = device->arena->add(static_cast<char*>(memory), size_bytes, nullptr, nullptr, reservation);
  return kOk;
}

// A slab that is wholly free goes back to the device, so that a closed model leaves nothing behind.
Status give_slab(Device* device, Arena::Part* part) {
  void* slab = part->data;
  device->arena->use.held_bytes -= part->size_bytes;
  device->arena->unlink(part);
  return check(device, cudaFree(slab), "giving device memory back");
}

size_t slab_units(size_t size_bytes) { return (size_bytes + kSlabUnit - 1) / kSlabUnit * kSlabUnit; }

// Finds or takes room for `size_bytes`, which are rounded already.
Status find_room(Device* device, size_t size_bytes, bool reserved_too, Arena::Part** room) {
  Arena* arena = device->arena;
  const uint64_t open = arena->open;
  *room = nullptr;
  if (reserved_too && open != 0)
    *room = arena->find(size_bytes, [open](const Arena::Part& part) { return part.reservation == open; });
  const bool large = size_bytes > kSlabBytes;
  if (!*room && !large)
    *room = arena->find(size_bytes, [](const Arena::Part& part) { return part.reservation == 0; });
  if (*room) return kOk;
  const size_t least = slab_units(size_bytes);
  // As many of its like as fit, so that a slab of a model's equal tensors has no rest.
  const size_t slab = large ? least : slab_units(kSlabBytes / size_bytes * size_bytes);
  Status status = take_slab(device, slab, 0, room);
  if (status == kOutOfMemory && slab > least) status = take_slab(device, least, 0, room);
  if (status != kOutOfMemory) return status;
  // The last memory of a full device: what reservations have left over.
  *room = arena->find(size_bytes, [](const Arena::Part&) { return true; });
  return *room ? kOk : kOutOfMemory;
}

Status allocate_part(Device* device, size_t size_bytes, bool reserved_too, void** data) {
  *data = nullptr;
  if (size_bytes > SIZE_MAX / 2) return kOutOfMemory;
  const size_t rounded =
      (size_bytes > 0 ? size_bytes + kAlignment - 1 : kAlignment) / kAlignment * kAlignment;
  Arena::Part* part = nullptr;
  WINNOW_TRY(find_room(device, rounded, reserved_too, &part));
  // What is larger than a slab keeps the rest of its own, so that nothing else holds it.
  if (rounded <= kSlabBytes || part->reservation != 0) device->arena->split(part, rounded);
  part->free = false;
  device->arena->use.used_bytes += part->size_bytes;
  *data = part->data;
  return kOk;
}

}  // namespace

Status arena_allocate(Device* device, size_t size_bytes, void** data) {
  return allocate_part(device, size_bytes, false, data);
}

Status arena_release(Device* device, void* data) {
  if (!data) return kOk;
  Arena* arena = device->arena;
  for (Arena::Part* part = arena->parts; part; part = part->next) {
    if (part->data != data || part->free) continue;
    part->free = true;
    arena->use.used_bytes -= part->size_bytes;
    part = arena->join(part);
    const bool whole = !part->before && !part->after;
    const bool open = part->reservation != 0 && part->reservation == arena->open;
    return whole && !open ? give_slab(device, part) : kOk;
  }
  return check(device, cudaErrorInvalidValue, "releasing memory that was not allocated");
}

Status grow(Device* device, void** data, size_t* capacity, size_t size_bytes) {
  if (size_bytes <= *capacity) return kOk;
  WINNOW_TRY(arena_release(device, *data));
  *data = nullptr;
  *capacity = 0;
  WINNOW_TRY(arena_allocate(device, size_bytes, data));
  *capacity = size_bytes;
  return kOk;
}

Status allocate(Device* device, size_t size_bytes, void** data) {
  return allocate_part(device, size_bytes, true, data);
}
Status release(Device* device, void* data) { return arena_release(device, data); }

Status reserve(Device* device, size_t size_bytes) {
  Arena* arena = device->arena;
  const uint64_t ended = arena->open;
  arena->open = 0;
  for (Arena::Part* part = arena->parts; part && ended != 0; part = part->next)
    if (part->reservation == ended && part->free && !part->before && !part->after) {
      WINNOW_TRY(give_slab(device, part));
      break;
    }
  if (size_bytes == 0) return kOk;
  if (size_bytes > SIZE_MAX / 2) return kOutOfMemory;
  Arena::Part* part = nullptr;
  WINNOW_TRY(take_slab(device, slab_units(size_bytes), arena->reservations + 1, &part));
  arena->open = ++arena->reservations;
  return kOk;
}

Status available(Device* device, uint64_t* bytes) {
  size_t free_bytes = 0, total_bytes = 0;
  WINNOW_TRY(check(device, cudaMemGetInfo(&free_bytes, &total_bytes), "asking for the device's memory"));
  *bytes = free_bytes + device->arena->use.held_bytes - device->arena->use.used_bytes;
  return kOk;
}

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
