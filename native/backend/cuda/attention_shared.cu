// Decoding rows that share a prefix: a chunk of keys that several rows have in common is read once for
// kSharedQueries of their queries. A block's warps have a tile of queries each, and take the keys and values
// that the block puts into shared memory. Every query's sums are those of forward_kernel, bit for bit.
#include "backend/cuda/attention_state.h"

namespace winnow::cuda {
namespace {

constexpr int kWarps = kSharedQueries / kTileQueries;
constexpr int kSliceColumns = 2,
              kSlice = kSliceColumns * kWarp;  // elements of a head that are staged at once

// What the warps of a block read together: 32 keys of a path, for one kv head.
struct Stage {
  float* data;  // (kSlice, 32) of keys, then (32, kSlice) of values
  const int32_t* path;
  int32_t kv_head;

  // Elements [first, first + kSlice) of all keys. Waits for the block before and after.
  __device__ void load_keys(const AttentionCall& call, int32_t first) const {
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < kSlice * kWarp; e += kWarps * kWarp) {
      const int d = first + e / kWarp;
      if (d < call.head_dim)
        data[e] = call.keys[call.key_at(path[e % kWarp], kv_head) + int64_t{d} * kKeyLanes];
    }
    __syncthreads();
  }
  __device__ void load_values(const AttentionCall& call, int32_t first) const {
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < kSlice * kWarp; e += kWarps * kWarp) {
      const int d = first + e % kSlice;
      if (d < call.head_dim) data[e] = call.values[call.value_at(path[e / kSlice], kv_head) + d];
    }
    __syncthreads();
  }
};

template <int kColumns>
__device__ void add_staged_keys(State<kColumns>& state, const AttentionCall& call, const Tile& tile,
                                const Stage& stage, const float* queries, float* weights) {
  float scores[kTileQueries] = {};
#pragma unroll
  for (int c = 0; c < kColumns; c += kSliceColumns) {
    if (c * kWarp >= call.head_dim) continue;
    stage.load_keys(call, c * kWarp);
    for (int d = 0; tile.count > 0 && d < min(kSlice, call.head_dim - c * kWarp); ++d)
      add_scores(scores, queries, c * kWarp + d, stage.data[d * kWarp + lane_of()]);
  }
  if (tile.count > 0) weigh_keys(state, scores, call.scale, weights, [&](int i) { return i < tile.count; });
#pragma unroll
  for (int c = 0; c < kColumns; c += kSliceColumns) {
    if (c * kWarp >= call.head_dim) continue;
    stage.load_values(call, c * kWarp);
    for (int j = 0; tile.count > 0 && j < kWarp; ++j)
#pragma unroll
      for (int s = 0; s < kSliceColumns; ++s) {
        const int d = s * kWarp + lane_of();
        const float value = c * kWarp + d < call.head_dim ? stage.data[j * kSlice + d] : 0.0f;
        add_values(state, c + s, weights, j, value);
      }
  }
}

// A block a shared tile and kv head.
template <int kColumns>
__global__ void __launch_bounds__(kWarps* kWarp) shared_kernel(AttentionCall call) {
  WINNOW_SHARED(float, all_queries, kWarps * kColumns * kWarp * kTileQueries);
  WINNOW_SHARED(float, all_weights, kWarps * kWarp * kTileQueries);
  WINNOW_SHARED(float, staged, kSlice* kWarp);
  float* queries = all_queries + warp_of() * kColumns * kWarp * kTileQueries;
  float* weights = all_weights + warp_of() * kWarp * kTileQueries;
  const int32_t* words = call.plan.shared_tiles + 4 * (blockIdx.x / static_cast<unsigned>(call.kv_heads));
  const auto kv_head = static_cast<int32_t>(blockIdx.x % static_cast<unsigned>(call.kv_heads));
  const int32_t* segment = call.plan.segments + 4 * words[0];
  const int32_t begin = warp_of() * kTileQueries, chunk = words[3];
  const Tile tile{segment[0],
                  segment[2],
                  words[1] + begin,
                  max(0, min(kTileQueries, words[2] - begin)),
                  call.plan.paths + segment[3],
                  kv_head,
                  call.group};
  if (tile.count > 0) load_queries(queries, call, tile);
  State<kColumns> state;
  clear(state);
  for (int32_t key = chunk * kChunkKeys; key < (chunk + 1) * kChunkKeys; key += kWarp)
    add_staged_keys(state, call, tile, {staged, tile.path + key, kv_head}, queries, weights);
  store_partial(state, call, tile, chunk);
}

}  // namespace

Status attention_shared_chunks(Device* device, const AttentionCall& call, const Plan& plan) {
  const int64_t blocks = int64_t{plan.shared_tiles} * call.kv_heads;
  if (blocks == 0) return kOk;
  const unsigned grid = blocks_for(blocks, 1);
  if (call.head_dim <= 64) return launch(device, shared_kernel<2>, grid, kWarps * kWarp, call);
  if (call.head_dim <= 128) return launch(device, shared_kernel<4>, grid, kWarps * kWarp, call);
  return launch(device, shared_kernel<8>, grid, kWarps * kWarp, call);
}

}  // namespace winnow::cuda
