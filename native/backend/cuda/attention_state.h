// Attention, forward, in one pass over the keys (Milakov & Gimelshein 2018; Dao et al. 2022): a tile keeps
// the running maximum, the sum and the output of the keys so far.
//
// Keys are taken in chunks of kChunkKeys positions, and the results of chunks are merged in order. So a batch
// with few rows can give every chunk to a warp of its own (Dao et al. 2023, "Flash-Decoding"), rows that have
// a chunk in common can take it together, and all get the same bits as one warp that takes the chunks in
// turn.
#pragma once

#include "backend/cuda/attention.h"

namespace winnow::cuda {

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

// The queries of a tile as (Dh, kTileQueries), so that a step over d reads neighbours.
__device__ inline void load_queries(float* queries, const AttentionCall& call, const Tile& tile) {
  for (int i = 0; i < kTileQueries; ++i) {
    const int query = i < tile.count ? i : 0;
    const float* from = call.q + tile.row(query) * call.width() + int64_t{tile.head(query)} * call.head_dim;
    for (int d = lane_of(); d < call.head_dim; d += kWarp) queries[d * kTileQueries + i] = from[d];
  }
  __syncwarp();
}

// scores[i] += element d of query i times that of a key.
__device__ inline void add_scores(float* scores, const float* queries, int d, float key) {
#pragma unroll
  for (int i = 0; i < kTileQueries; ++i) scores[i] = fmaf(queries[d * kTileQueries + i], key, scores[i]);
}

// Takes 32 keys, one a lane, into maximum and sum; `seen` tells which queries see the lane's key. Leaves
// their weights in `weights` (32, kTileQueries), with which add_values takes their values.
template <int kColumns, typename Seen>
__device__ void weigh_keys(State<kColumns>& state, const float* scores, float scale, float* weights,
                           const Seen& seen) {
#pragma unroll
  for (int i = 0; i < kTileQueries; ++i) {
    const bool sees = seen(i);
    const float score = sees ? scores[i] * scale : kMinusInfinity;
    const float maximum = max(state.maximum[i], warp_max(score));
    const bool any = maximum > kMinusInfinity;
    const float weight = sees ? expf(score - maximum) : 0.0f;
    const float before = any ? expf(state.maximum[i] - maximum) : 1.0f;
    state.maximum[i] = maximum;
    state.sum[i] = fmaf(state.sum[i], before, warp_sum(weight));
#pragma unroll
    for (int c = 0; c < kColumns; ++c) state.out[i][c] *= before;
    weights[lane_of() * kTileQueries + i] = weight;
  }
  __syncwarp();
}

// Column c of the outputs += that of key j's value.
template <int kColumns>
__device__ void add_values(State<kColumns>& state, int c, const float* weights, int j, float value) {
#pragma unroll
  for (int i = 0; i < kTileQueries; ++i)
    state.out[i][c] = fmaf(weights[j * kTileQueries + i], value, state.out[i][c]);
}

__device__ inline float* partial_of(const AttentionCall& call, const Tile& tile, int i, int32_t chunk) {
  const int64_t query = int64_t{tile.row(i)} * call.heads + tile.head(i);
  return call.partial + (query * call.chunks + chunk) * (call.head_dim + 2);
}

// By a warp: what a tile has of a chunk, to and from `call.partial`.
template <int kColumns>
__device__ void store_partial(const State<kColumns>& state, const AttentionCall& call, const Tile& tile,
                              int32_t chunk) {
#pragma unroll
  for (int i = 0; i < kTileQueries; ++i) {
    if (i >= tile.count) continue;
    float* to = partial_of(call, tile, i, chunk);
#pragma unroll
    for (int c = 0; c < kColumns; ++c)
      if (c * kWarp + lane_of() < call.head_dim) to[c * kWarp + lane_of()] = state.out[i][c];
    if (lane_of() == 0) to[call.head_dim] = state.maximum[i];
    if (lane_of() == 0) to[call.head_dim + 1] = state.sum[i];
  }
}
template <int kColumns>
__device__ void load_partial(State<kColumns>& state, const AttentionCall& call, const Tile& tile,
                             int32_t chunk) {
  clear(state);
#pragma unroll
  for (int i = 0; i < kTileQueries; ++i) {
    if (i >= tile.count) continue;
    const float* from = partial_of(call, tile, i, chunk);
#pragma unroll
    for (int c = 0; c < kColumns; ++c)
      if (c * kWarp + lane_of() < call.head_dim) state.out[i][c] = from[c * kWarp + lane_of()];
    state.maximum[i] = from[call.head_dim];
    state.sum[i] = from[call.head_dim + 1];
  }
}

// Leaves the chunks that rows have in common in `call.partial`.
Status attention_shared_chunks(Device* device, const AttentionCall& call, const Plan& plan);

}  // namespace winnow::cuda
