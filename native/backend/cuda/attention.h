// The token forest on the device, and what the attention kernels share.
//
// A tile is kTileQueries queries of one segment for one kv head: query i is row i / G of the segment, head i
// % G of the group, so that the heads that share keys read them once. A warp computes a tile. No sum depends
// on the tile: scores are one chain over the head's width, sums over keys go by absolute position.
#pragma once

#include "backend/cuda/device.h"

namespace winnow::cuda {

struct DevicePlan {
  const int32_t *segments, *runs, *tiles, *shared_tiles, *key_tiles, *uses;  // as in Plan
  const int32_t* paths;  // (entries): a slot for every position
};

// Keys or values as they are kept.
struct Cached {
  const void* data;
  bool bf16;

  __device__ float operator[](int64_t i) const { return number_at(data, bf16, i); }
};

struct AttentionCall {
  const float* q;
  Cached keys, values;
  float *out, *lse;
  int32_t heads, kv_heads, group, head_dim;
  float scale;
  DevicePlan plan;
  float* partial = nullptr;  // (rows, heads, chunks, head_dim + 2): what a query has of a chunk of its keys
  int32_t chunks = 0;

  __device__ int64_t width() const { return int64_t{heads} * head_dim; }
  // Where element 0 of the key, or of the value, in a slot stands; keys are kKeyLanes apart.
  __device__ int64_t key_at(int32_t slot, int32_t kv_head) const {
    return (int64_t{slot / kKeyLanes} * kv_heads + kv_head) * head_dim * kKeyLanes + slot % kKeyLanes;
  }
  __device__ int64_t value_at(int32_t slot, int32_t kv_head) const {
    return ((int64_t{slot / kKeyLanes} * kv_heads + kv_head) * kKeyLanes + slot % kKeyLanes) * head_dim;
  }
};

// The queries of a warp's tile.
struct Tile {
  int32_t row_begin, position_begin, first, count;  // of the segment; its queries [first, first + count)
  const int32_t* path;
  int32_t kv_head, group;

  __device__ int32_t row(int i) const { return row_begin + (first + i) / group; }
  __device__ int32_t position(int i) const { return position_begin + (first + i) / group; }
  __device__ int32_t head(int i) const { return kv_head * group + (first + i) % group; }
  __device__ int32_t keys() const { return position(count - 1) + 1; }
};

__device__ inline Tile tile_of(const AttentionCall& call, int32_t index, int32_t kv_head) {
  const int32_t* tile = call.plan.tiles + 3 * index;
  const int32_t* segment = call.plan.segments + 4 * tile[0];
  const int32_t left = segment[1] * call.group - tile[1];
  return {segment[0],
          segment[2],
          tile[1],
          left < kTileQueries ? left : kTileQueries,
          call.plan.paths + segment[3],
          kv_head,
          call.group};
}

// Uploads a plan, unless it is the last one, and writes out its paths.
Status prepare_plan(Device* device, const Plan& plan, DevicePlan* prepared);

inline AttentionCall attention_call(const Attention& call, const DevicePlan& plan) {
  const Cached keys{call.key_cache, call.cache_bf16}, values{call.value_cache, call.cache_bf16};
  return {call.q,        keys,       values,        call.out,
          call.lse,      call.heads, call.kv_heads, call.heads / call.kv_heads,
          call.head_dim, call.scale, plan};
}

}  // namespace winnow::cuda
