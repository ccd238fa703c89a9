// The token forest's way to the device.
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

Status grow_host_plan(Device::KeptPlan* kept, size_t size_bytes) {
  if (size_bytes <= kept->host_capacity) return kOk;
  std::free(kept->host_words);
  kept->host_words = static_cast<int32_t*>(std::malloc(size_bytes));
  kept->host_capacity = kept->host_words ? size_bytes : 0;
  return kept->host_words ? kOk : kOutOfMemory;
}

Status upload_plan(Device* device, const Plan& plan, size_t size_bytes, Device::KeptPlan* kept) {
  kept->count = 0;
  WINNOW_TRY(grow_host_plan(kept, size_bytes));
  WINNOW_TRY(grow(device, reinterpret_cast<void**>(&kept->words), &kept->words_capacity, size_bytes));
  WINNOW_TRY(grow(device, reinterpret_cast<void**>(&kept->paths), &kept->paths_capacity,
                  static_cast<size_t>(plan.entries) * sizeof(int32_t)));
  WINNOW_TRY(upload(device, kept->words, plan.host_words, size_bytes));
  WINNOW_TRY(launch(device, expand_kernel, blocks_for(plan.runs, kThreads), kThreads, kept->paths,
                    static_cast<const int32_t*>(kept->words + 4 * int64_t{plan.segments}), plan.runs));
  std::memcpy(kept->host_words, plan.host_words, size_bytes);
  kept->count = plan.words;
  return kOk;
}

}  // namespace

Status prepare_plan(Device* device, const Plan& plan, DevicePlan* prepared) {
  const size_t size_bytes = static_cast<size_t>(plan.words) * sizeof(int32_t);
  Device::KeptPlan& kept = device->plans[plan.key_tiles > 0];
  if (kept.count != plan.words || std::memcmp(kept.host_words, plan.host_words, size_bytes) != 0)
    WINNOW_TRY(upload_plan(device, plan, size_bytes, &kept));
  const int32_t* words = kept.words;
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
  prepared->paths = kept.paths;
  return kOk;
}

}  // namespace winnow::cuda
