// Attention, forward, in one pass over the keys (Milakov & Gimelshein 2018; Dao et al. 2022): a tile keeps
// the running maximum, the sum and the output of the keys so far.
//
// Keys are taken in chunks of kChunk positions, and the results of chunks are merged in order. So a batch
// with few rows can give every chunk to a warp of its own (Dao et al. 2023, "Flash-Decoding") and gets the
// same bits as one warp that takes the chunks in turn.
#include "backend/cuda/attention.h"

namespace winnow::cuda {
namespace {

constexpr int kWarps = 4, kChunk = 256;

template <int kColumns>  // Dh / 32, rounded up: element d of an output stands in lane d % 32
struct State {
  float maximum[kTileQueries], sum[kTileQueries], out[kTileQueries][kColumns];
};

template <int kColumns>
__device__ void clear(State<kColumns>& state) {
#pragma unroll
  for (int i = 0; i < kTileQueries; ++i) {
    state.maximum[i] = kMinusInfinity;
    state.sum[i] = 0;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) state.out[i][c] = 0;
  }
}

// onto += chunk, which has seen later keys. A chunk whose keys are all masked changes nothing.
template <int kColumns>
__device__ void merge(State<kColumns>& onto, const State<kColumns>& chunk) {
#pragma unroll
  for (int i = 0; i < kTileQueries; ++i) {
    if (chunk.sum[i] == 0) continue;
    const float maximum = max(onto.maximum[i], chunk.maximum[i]);
    const float before = expf(onto.maximum[i] - maximum), after = expf(chunk.maximum[i] - maximum);
    onto.maximum[i] = maximum;
    onto.sum[i] = fmaf(chunk.sum[i], after, onto.sum[i] * before);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) onto.out[i][c] = fmaf(chunk.out[i][c], after, onto.out[i][c] * before);
  }
}

// scores[i] of one key a lane.
__device__ inline void score_keys(float* scores, const AttentionCall& call, const float* queries,
                                  int64_t key) {
#pragma unroll
  for (int i = 0; i < kTileQueries; ++i) scores[i] = 0;
  for (int d = 0; d < call.head_dim; ++d) {
    const float k = call.key_cache[key + int64_t{d} * kKeyLanes];
#pragma unroll
    for (int i = 0; i < kTileQueries; ++i) scores[i] = fmaf(queries[d * kTileQueries + i], k, scores[i]);
  }
}

// Adds 32 keys, one a lane; `weights` is room for (32, kTileQueries) in shared memory.
template <int kColumns>
__device__ void add_keys(State<kColumns>& state, const AttentionCall& call, const Tile& tile,
                         const float* queries, float* weights, int32_t first_key) {
  const int lane = lane_of();
  const int32_t position = first_key + lane, keys = tile.keys();
  float scores[kTileQueries];
  score_keys(scores, call, queries, call.key_at(tile.path[min(position, keys - 1)], tile.kv_head));
#pragma unroll
  for (int i = 0; i < kTileQueries; ++i) {
    const bool seen = i < tile.count && position <= tile.position(i);
    const float score = seen ? scores[i] * call.scale : kMinusInfinity;
    const float maximum = max(state.maximum[i], warp_max(score));
    const bool any = maximum > kMinusInfinity;
    const float weight = seen ? expf(score - maximum) : 0.0f;
    const float before = any ? expf(state.maximum[i] - maximum) : 1.0f;
    state.maximum[i] = maximum;
    state.sum[i] = fmaf(state.sum[i], before, warp_sum(weight));
#pragma unroll
    for (int c = 0; c < kColumns; ++c) state.out[i][c] *= before;
    weights[lane * kTileQueries + i] = weight;
  }
  __syncwarp();
  for (int j = 0; j < min(kWarp, keys - first_key); ++j) {
    const float* value = call.value_cache + call.value_at(tile.path[first_key + j], tile.kv_head);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const int d = c * kWarp + lane;
      const float v = d < call.head_dim ? value[d] : 0.0f;
#pragma unroll
      for (int i = 0; i < kTileQueries; ++i)
        state.out[i][c] = fmaf(weights[j * kTileQueries + i], v, state.out[i][c]);
    }
  }
  __syncwarp();
}

template <int kColumns>
__device__ void add_chunk(State<kColumns>& state, const AttentionCall& call, const Tile& tile,
                          const float* queries, float* weights, int32_t chunk) {
  const int32_t end = min(tile.keys(), (chunk + 1) * kChunk);
  for (int32_t key = chunk * kChunk; key < end; key += kWarp)
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

// The queries of a tile as (Dh, kTileQueries), so that a step over d reads neighbours.
__device__ inline void load_queries(float* queries, const AttentionCall& call, const Tile& tile) {
  for (int i = 0; i < kTileQueries; ++i) {
    const int query = i < tile.count ? i : 0;
    const float* from = call.q + tile.row(query) * call.width() + int64_t{tile.head(query)} * call.head_dim;
    for (int d = lane_of(); d < call.head_dim; d += kWarp) queries[d * kTileQueries + i] = from[d];
  }
  __syncwarp();
}

// A warp a tile and kv head, or where `partial` is given, a tile, kv head and chunk.
template <int kColumns>
__global__ void __launch_bounds__(kWarps* kWarp)
    forward_kernel(AttentionCall call, int32_t tiles, int32_t chunks, State<kColumns>* partial) {
  WINNOW_SHARED(float, all_queries, kWarps * kColumns * kWarp * kTileQueries);
  WINNOW_SHARED(float, all_weights, kWarps * kWarp * kTileQueries);
  float* queries = all_queries + warp_of() * kColumns * kWarp * kTileQueries;
  float* weights = all_weights + warp_of() * kWarp * kTileQueries;
  const int64_t item = int64_t{blockIdx.x} * kWarps + warp_of(), unit = partial ? item / chunks : item;
  if (unit >= int64_t{tiles} * call.kv_heads) return;
  const auto index = static_cast<int32_t>(unit / call.kv_heads),
             kv_head = static_cast<int32_t>(unit % call.kv_heads);
  const Tile tile = tile_of(call, index, kv_head);
  load_queries(queries, call, tile);
  State<kColumns> chunk;
  if (partial) {
    clear(chunk);
    add_chunk(chunk, call, tile, queries, weights, static_cast<int32_t>(item % chunks));
    partial[item * kWarp + lane_of()] = chunk;
    return;
  }
  State<kColumns> state;
  clear(state);
  for (int32_t i = 0; i * kChunk < tile.keys(); ++i) {
    clear(chunk);
    add_chunk(chunk, call, tile, queries, weights, i);
    merge(state, chunk);
  }
  store_state(state, call, tile);
}

// Merges what forward_kernel left in `partial`; a warp a tile and kv head.
template <int kColumns>
__global__ void merge_kernel(AttentionCall call, int32_t tiles, int32_t chunks,
                             const State<kColumns>* partial) {
  const int64_t unit = int64_t{blockIdx.x} * kWarps + warp_of();
  if (unit >= int64_t{tiles} * call.kv_heads) return;
  const Tile tile =
      tile_of(call, static_cast<int32_t>(unit / call.kv_heads), static_cast<int32_t>(unit % call.kv_heads));
  State<kColumns> state;
  clear(state);
  for (int32_t i = 0; i * kChunk < tile.keys(); ++i)
    merge(state, partial[(unit * chunks + i) * kWarp + lane_of()]);
  store_state(state, call, tile);
}

template <int kColumns>
Status forward(Device* device, const AttentionCall& call, const Plan& plan) {
  const int64_t units = int64_t{plan.tiles} * call.kv_heads;
  const auto chunks = static_cast<int32_t>(ceil_div(plan.longest, kChunk));
  const int64_t enough = int64_t{device->multiprocessors} * 2 * kWarps;
  State<kColumns>* partial = nullptr;
  if (chunks == 1 || units >= enough)
    return launch(device, forward_kernel<kColumns>, blocks_for(units, kWarps), kWarps * kWarp, call,
                  plan.tiles, chunks, partial);
  WINNOW_TRY(scratch(device, units * chunks * kWarp, &partial));
  WINNOW_TRY(launch(device, forward_kernel<kColumns>, blocks_for(units * chunks, kWarps), kWarps * kWarp,
                    call, plan.tiles, chunks, partial));
  return launch(device, merge_kernel<kColumns>, blocks_for(units, kWarps), kWarps * kWarp, call, plan.tiles,
                chunks, static_cast<const State<kColumns>*>(partial));
}

}  // namespace

Status attention_forward(Device* device, const Attention* call) {
  if (call->rows == 0) return kOk;
  DevicePlan plan;
  WINNOW_TRY(prepare_plan(device, call->plan, &plan));
  const AttentionCall prepared = attention_call(*call, plan);
  if (call->head_dim <= 64) return forward<2>(device, prepared, call->plan);
  if (call->head_dim <= 128) return forward<4>(device, prepared, call->plan);
  return forward<8>(device, prepared, call->plan);
}

}  // namespace winnow::cuda
