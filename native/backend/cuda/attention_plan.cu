// The token forest's way to the device, and the writing of keys and values.
#include <cstdlib>
#include <cstring>

#include "backend/cuda/attention.h"

namespace winnow::cuda {
namespace {

// A thread writes the slots of one run: at most kKeyLanes of them, or of several runs in one where the keys
// have no batch rows.
__global__ void expand_kernel(int32_t* paths, const int32_t* runs, int32_t count) {
  const int64_t index = global_thread();
  if (index >= count) return;
  const int32_t* run = runs + 3 * index;
  for (int32_t i = 0; i < run[2]; ++i) paths[run[0] + i] = run[1] + i;
}

__global__ void write_kernel(const Fault* fault, float* keys, float* values, const float* k, const float* v,
                             const int32_t* slots, int64_t kv_heads, int64_t head_dim, int64_t count) {
  const int64_t i = global_thread();
  if (i >= count || fault->kind != kOk) return;
  const int64_t d = i % head_dim, h = i / head_dim % kv_heads, m = i / head_dim / kv_heads;
  const int64_t slot = slots[m], head = slot / kKeyLanes * kv_heads + h, lane = slot % kKeyLanes;
  keys[(head * head_dim + d) * kKeyLanes + lane] = k[i];
  values[(head * kKeyLanes + lane) * head_dim + d] = v[i];
}

Status grow_host_plan(Device* device, size_t size_bytes) {
  if (size_bytes <= device->host_plan_capacity) return kOk;
  std::free(device->host_plan);
  device->host_plan = static_cast<int32_t*>(std::malloc(size_bytes));
  device->host_plan_capacity = device->host_plan ? size_bytes : 0;
  return device->host_plan ? kOk : kOutOfMemory;
}

}  // namespace

Status prepare_plan(Device* device, const Plan& plan, DevicePlan* prepared) {
  const size_t size_bytes = static_cast<size_t>(plan.words) * sizeof(int32_t);
  const bool same =
      device->plan_words == plan.words && std::memcmp(device->host_plan, plan.host_words, size_bytes) == 0;
  if (!same) {
    device->plan_words = 0;
    WINNOW_TRY(grow_host_plan(device, size_bytes));
    WINNOW_TRY(reserve(device, reinterpret_cast<void**>(&device->plan), &device->plan_capacity, size_bytes));
    WINNOW_TRY(reserve(device, reinterpret_cast<void**>(&device->paths), &device->paths_capacity,
                       static_cast<size_t>(plan.entries) * sizeof(int32_t)));
    WINNOW_TRY(upload(device, device->plan, plan.host_words, size_bytes));
    WINNOW_TRY(launch(device, expand_kernel, blocks_for(plan.runs, kThreads), kThreads, device->paths,
                      static_cast<const int32_t*>(device->plan + 4 * int64_t{plan.segments}), plan.runs));
    std::memcpy(device->host_plan, plan.host_words, size_bytes);
    device->plan_words = plan.words;
  }
  const int32_t* words = device->plan;
  const auto take = [&words](int64_t count) {
    const int32_t* begin = words;
    words += count;
    return begin;
  };
  prepared->segments = take(4 * int64_t{plan.segments});
  prepared->runs = take(3 * int64_t{plan.runs});
  prepared->tiles = take(3 * int64_t{plan.tiles});
  prepared->shared_tiles = take(4 * int64_t{plan.shared_tiles});
  prepared->key_tiles = take(5 * int64_t{plan.key_tiles});
  prepared->uses = take(2 * int64_t{plan.uses});
  prepared->paths = device->paths;
  return kOk;
}

Status kv_write(Device* device, float* keys, float* values, const float* k, const float* v,
                const int32_t* slots, int64_t m, int64_t kv_heads, int64_t head_dim, int64_t blocks) {
  WINNOW_TRY(check_indices(device, slots, m, blocks * kKeyLanes, FaultSource::kSlot));
  const int64_t count = m * kv_heads * head_dim;
  if (count == 0) return kOk;
  return launch(device, write_kernel, blocks_for(count, kThreads), kThreads, device->fault, keys, values, k,
                v, slots, kv_heads, head_dim, count);
}

}  // namespace winnow::cuda
