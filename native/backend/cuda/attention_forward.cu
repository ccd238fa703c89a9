// Attention, forward: a warp a tile of queries, or where there are few of them a warp a tile and chunk of
// keys.
#include "backend/cuda/attention_state.h"

namespace winnow::cuda {
namespace {

constexpr int kWarps = 4;

// Adds 32 keys, one a lane; `weights` is room for (32, kTileQueries) in shared memory.
template <int kColumns>
__device__ void add_keys(State<kColumns>& state, const AttentionCall& call, const Tile& tile,
                         const float* queries, float* weights, int32_t first_key) {
  const int32_t position = first_key + lane_of(), keys = tile.keys();
  const int64_t key = call.key_at(tile.path[min(position, keys - 1)], tile.kv_head);
  float scores[kTileQueries] = {};
  for (int d = 0; d < call.head_dim; ++d)
    add_scores(scores, queries, d, call.keys[key + int64_t{d} * kKeyLanes]);
  weigh_keys(state, scores, call.scale, weights,
             [&](int i) { return i < tile.count && position <= tile.position(i); });
  for (int j = 0; j < min(kWarp, keys - first_key); ++j) {
    const int64_t value = call.value_at(tile.path[first_key + j], tile.kv_head);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const int d = c * kWarp + lane_of();
      add_values(state, c, weights, j, d < call.head_dim ? call.values[value + d] : 0.0f);
    }
  }
  __syncwarp();
}

template <int kColumns>
__device__ void add_chunk(State<kColumns>& state, const AttentionCall& call, const Tile& tile,
                          const float* queries, float* weights, int32_t chunk) {
  const int32_t end = min(tile.keys(), (chunk + 1) * kChunkKeys);
  for (int32_t key = chunk * kChunkKeys; key < end; key += kWarp)
    add_keys(state, call, tile, queries, weights, key);
}

template <int kColumns>
__device__ void store_state(const State<kColumns>& state, const AttentionCall& call, const Tile& tile) {
#pragma unroll
  for (int i = 0; i < kTileQueries; ++i) {
    if (i >= tile.count) continue;
    float* out = call.out + tile.row(i) * call.width() + int64_t{tile.head(i)} * call.head_dim;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const int d = c * kWarp + lane_of();
      if (d < call.head_dim) out[d] = state.out[i][c] / state.sum[i];
    }
    if (call.lse && lane_of() == 0)
      call.lse[int64_t{tile.row(i)} * call.heads + tile.head(i)] = state.maximum[i] + logf(state.sum[i]);
  }
}

// A warp a tile and kv head; with `call.partial` a tile, kv head and chunk, but for what shared tiles take.
template <int kColumns>
__global__ void __launch_bounds__(kWarps* kWarp) forward_kernel(AttentionCall call, int32_t tiles) {
  WINNOW_SHARED(float, all_queries, kWarps * kColumns * kWarp * kTileQueries);
  WINNOW_SHARED(float, all_weights, kWarps * kWarp * kTileQueries);
  float* queries = all_queries + warp_of() * kColumns * kWarp * kTileQueries;
  float* weights = all_weights + warp_of() * kWarp * kTileQueries;
  const int64_t item = int64_t{blockIdx.x} * kWarps + warp_of(),
                unit = call.partial ? item / call.chunks : item;
  if (unit >= int64_t{tiles} * call.kv_heads) return;
  const auto index = static_cast<int32_t>(unit / call.kv_heads),
             kv_head = static_cast<int32_t>(unit % call.kv_heads);
  const Tile tile = tile_of(call, index, kv_head);
  State<kColumns> chunk;
  if (call.partial) {
    const auto number = static_cast<int32_t>(item % call.chunks);
    if (number < call.plan.tiles[3 * index + 2] || number * kChunkKeys >= tile.keys()) return;
    load_queries(queries, call, tile);
    clear(chunk);
    add_chunk(chunk, call, tile, queries, weights, number);
    store_partial(chunk, call, tile, number);
    return;
  }
  load_queries(queries, call, tile);
  State<kColumns> state;
  clear(state);
  for (int32_t i = 0; i * kChunkKeys < tile.keys(); ++i) {
    clear(chunk);
    add_chunk(chunk, call, tile, queries, weights, i);
    merge(state, chunk);
  }
  store_state(state, call, tile);
}

// Merges what is in `call.partial`; a warp a tile and kv head.
template <int kColumns>
__global__ void merge_kernel(AttentionCall call, int32_t tiles) {
  const int64_t unit = int64_t{blockIdx.x} * kWarps + warp_of();
  if (unit >= int64_t{tiles} * call.kv_heads) return;
  const Tile tile =
      tile_of(call, static_cast<int32_t>(unit / call.kv_heads), static_cast<int32_t>(unit % call.kv_heads));
  State<kColumns> state, chunk;
  clear(state);
  for (int32_t i = 0; i * kChunkKeys < tile.keys(); ++i) {
    load_partial(chunk, call, tile, i);
    merge(state, chunk);
  }
  store_state(state, call, tile);
}

template <int kColumns>
Status forward(Device* device, AttentionCall call, int64_t rows, const Plan& plan) {
  const int64_t units = int64_t{plan.tiles} * call.kv_heads;
  const int64_t enough = int64_t{device->multiprocessors} * 2 * kWarps;
  call.chunks = static_cast<int32_t>(ceil_div(plan.longest, kChunkKeys));
  if (plan.shared_tiles == 0 && (call.chunks == 1 || units >= enough))
    return launch(device, forward_kernel<kColumns>, blocks_for(units, kWarps), kWarps * kWarp, call,
                  plan.tiles);
  WINNOW_TRY(scratch(device, rows * call.heads * call.chunks * (call.head_dim + 2), &call.partial));
  WINNOW_TRY(attention_shared_chunks(device, call, plan));
  WINNOW_TRY(launch(device, forward_kernel<kColumns>, blocks_for(units * call.chunks, kWarps), kWarps * kWarp,
                    call, plan.tiles));
  return launch(device, merge_kernel<kColumns>, blocks_for(units, kWarps), kWarps * kWarp, call, plan.tiles);
}

}  // namespace

Status attention_forward(Device* device, const Attention* call) {
  if (call->rows == 0) return kOk;
  DevicePlan plan;
  WINNOW_TRY(prepare_plan(device, call->plan, &plan));
  const AttentionCall prepared = attention_call(*call, plan);
  if (call->head_dim <= 64) return forward<2>(device, prepared, call->rows, call->plan);
  if (call->head_dim <= 128) return forward<4>(device, prepared, call->rows, call->plan);
  return forward<8>(device, prepared, call->rows, call->plan);
}

}  // namespace winnow::cuda
