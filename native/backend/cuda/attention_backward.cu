// Attention, backward, by recomputing the probabilities from lse (Dao et al. 2022). Two kernels: a warp a
// tile of queries makes dq; a warp a tile of keys makes dk and dv over the queries that see them, in the
// order of rows, so that nothing is added by atomics. Formulas: backend/reference/attention.cc.
#include "backend/cuda/attention.h"

namespace winnow::cuda {
namespace {

constexpr int kWarps = 2;

struct GradientCall {
  AttentionCall forward;
  const float* dout;
  float *dq, *dk, *dv, *delta;
};

// delta (M, H) = dout . out; a warp a row and head.
__global__ void delta_kernel(GradientCall call, int64_t count) {
  const int64_t unit = int64_t{blockIdx.x} * kWarps + warp_of();
  if (unit >= count) return;
  const int64_t at = unit * call.forward.head_dim;
  float sum = 0;
  for (int d = lane_of(); d < call.forward.head_dim; d += kWarp)
    sum = fmaf(call.dout[at + d], call.forward.out[at + d], sum);
  sum = warp_sum(sum);
  if (lane_of() == 0) call.delta[unit] = sum;
}

// (Dh, kTileQueries) of q and dout, element by element.
__device__ inline void load_tile(float* queries, float* douts, const GradientCall& call, const Tile& tile) {
  const int head_dim = call.forward.head_dim;
  for (int i = 0; i < kTileQueries; ++i) {
    const int query = i < tile.count ? i : 0;
    const int64_t at = tile.row(query) * call.forward.width() + int64_t{tile.head(query)} * head_dim;
    for (int d = lane_of(); d < head_dim; d += kWarp) {
      queries[d * kTileQueries + i] = call.forward.q[at + d];
      douts[d * kTileQueries + i] = call.dout[at + d];
    }
  }
  __syncwarp();
}

// scale * p * (dp - delta) of 32 keys, one a lane, for every query; to weights (32, kTileQueries).
__device__ inline void score_gradients(float* weights, const GradientCall& call, const Tile& tile,
                                       const float* queries, const float* douts, int32_t first_key) {
  const AttentionCall& forward = call.forward;
  const int32_t position = first_key + lane_of(), slot = tile.path[min(position, tile.keys() - 1)];
  const int64_t key = forward.key_at(slot, tile.kv_head), value = forward.value_at(slot, tile.kv_head);
  float scores[kTileQueries] = {}, products[kTileQueries] = {};
  for (int d = 0; d < forward.head_dim; ++d) {
    const float k = forward.keys[key + int64_t{d} * kKeyLanes], v = forward.values[value + d];
#pragma unroll
    for (int i = 0; i < kTileQueries; ++i) {
      scores[i] = fmaf(queries[d * kTileQueries + i], k, scores[i]);
      products[i] = fmaf(douts[d * kTileQueries + i], v, products[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < kTileQueries; ++i) {
    const bool seen = i < tile.count && position <= tile.position(i);
    float weight = 0;
    if (seen) {
      const int64_t at = int64_t{tile.row(i)} * forward.heads + tile.head(i);
      weight =
          expf(scores[i] * forward.scale - forward.lse[at]) * (products[i] - call.delta[at]) * forward.scale;
    }
    weights[lane_of() * kTileQueries + i] = weight;
  }
  __syncwarp();
}

template <int kColumns>
__global__ void __launch_bounds__(kWarps* kWarp) query_kernel(GradientCall call, int32_t tiles) {
  WINNOW_SHARED(float, all_queries, kWarps * kColumns * kWarp * kTileQueries);
  WINNOW_SHARED(float, all_douts, kWarps * kColumns * kWarp * kTileQueries);
  WINNOW_SHARED(float, all_weights, kWarps * kWarp * kTileQueries);
  const AttentionCall& forward = call.forward;
  const int64_t unit = int64_t{blockIdx.x} * kWarps + warp_of();
  if (unit >= int64_t{tiles} * forward.kv_heads) return;
  float* queries = all_queries + warp_of() * kColumns * kWarp * kTileQueries;
  float* douts = all_douts + warp_of() * kColumns * kWarp * kTileQueries;
  float* weights = all_weights + warp_of() * kWarp * kTileQueries;
  const Tile tile = tile_of(forward, static_cast<int32_t>(unit / forward.kv_heads),
                            static_cast<int32_t>(unit % forward.kv_heads));
  load_tile(queries, douts, call, tile);
  float sums[kTileQueries][kColumns] = {};
  for (int32_t first = 0; first < tile.keys(); first += kWarp) {
    score_gradients(weights, call, tile, queries, douts, first);
    for (int j = 0; j < min(kWarp, tile.keys() - first); ++j) {
      const int64_t key = forward.key_at(tile.path[first + j], tile.kv_head);
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        const int d = c * kWarp + lane_of();
        const float k = d < forward.head_dim ? forward.keys[key + int64_t{d} * kKeyLanes] : 0.0f;
#pragma unroll
        for (int i = 0; i < kTileQueries; ++i)
          sums[i][c] = fmaf(weights[j * kTileQueries + i], k, sums[i][c]);
      }
    }
    __syncwarp();
  }
#pragma unroll
  for (int i = 0; i < kTileQueries; ++i) {
    if (i >= tile.count) continue;
    float* dq = call.dq + tile.row(i) * forward.width() + int64_t{tile.head(i)} * forward.head_dim;
#pragma unroll
    for (int c = 0; c < kColumns; ++c)
      if (c * kWarp + lane_of() < forward.head_dim) dq[c * kWarp + lane_of()] = sums[i][c];
  }
}

// The keys of a warp's tile: rows [row, row + count), consecutive positions of one path.
struct KeyTile {
  int32_t row, count, kv_head;
};

// p and scale * p * (dp - delta) of 32 queries, one a lane, for every key; to (32, kTileKeys) each.
__device__ inline void key_weights(float* weights, float* gradients, const GradientCall& call,
                                   const KeyTile& tile, const float* keys, const float* values, int64_t at,
                                   int32_t position, int32_t key_position, bool present) {
  const AttentionCall& forward = call.forward;
  const float* q = forward.q + at * forward.head_dim;
  const float* dout = call.dout + at * forward.head_dim;
  float scores[kTileKeys] = {}, products[kTileKeys] = {};
  for (int d = 0; d < forward.head_dim; ++d) {
    const float qd = q[d], dd = dout[d];
#pragma unroll
    for (int j = 0; j < kTileKeys; ++j) {
      scores[j] = fmaf(qd, keys[d * kTileKeys + j], scores[j]);
      products[j] = fmaf(dd, values[d * kTileKeys + j], products[j]);
    }
  }
  const float lse = forward.lse[at], delta = call.delta[at];
#pragma unroll
  for (int j = 0; j < kTileKeys; ++j) {
    const bool seen = present && j < tile.count && key_position + j <= position;
    const float p = seen ? expf(scores[j] * forward.scale - lse) : 0.0f;
    weights[lane_of() * kTileKeys + j] = p;
    gradients[lane_of() * kTileKeys + j] = seen ? p * (products[j] - delta) * forward.scale : 0.0f;
  }
  __syncwarp();
}

template <int kColumns>
struct KeySums {
  float dk[kTileKeys][kColumns], dv[kTileKeys][kColumns];
};

// Adds the queries of one segment whose path has the tile's first key at `key_position`.
template <int kColumns>
__device__ void add_segment(KeySums<kColumns>& sums, const GradientCall& call, const KeyTile& tile,
                            const int32_t* segment, int32_t key_position, const float* keys,
                            const float* values, float* weights, float* gradients) {
  const AttentionCall& forward = call.forward;
  const int32_t first_row = max(0, key_position - segment[2]),
                queries = (segment[1] - first_row) * forward.group;
  const auto query_at = [&](int32_t i) {  // of (M, H)
    return int64_t{segment[0] + first_row + i / forward.group} * forward.heads +
           tile.kv_head * forward.group + i % forward.group;
  };
  for (int32_t first = 0; first < queries; first += kWarp) {
    const int32_t mine = min(first + lane_of(), queries - 1);
    key_weights(weights, gradients, call, tile, keys, values, query_at(mine),
                segment[2] + first_row + mine / forward.group, key_position, first + lane_of() < queries);
    for (int i = 0; i < min(kWarp, queries - first); ++i) {
      const int64_t at = query_at(first + i) * forward.head_dim;
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        const int d = c * kWarp + lane_of();
        const float q = d < forward.head_dim ? forward.q[at + d] : 0.0f;
        const float dout = d < forward.head_dim ? call.dout[at + d] : 0.0f;
#pragma unroll
        for (int j = 0; j < kTileKeys; ++j) {
          sums.dk[j][c] = fmaf(gradients[i * kTileKeys + j], q, sums.dk[j][c]);
          sums.dv[j][c] = fmaf(weights[i * kTileKeys + j], dout, sums.dv[j][c]);
        }
      }
    }
    __syncwarp();
  }
}

// (Dh, kTileKeys) of keys and values.
__device__ inline void load_keys(float* keys, float* values, const AttentionCall& call, const KeyTile& tile,
                                 const int32_t* path) {
  for (int j = 0; j < kTileKeys; ++j) {
    const int32_t slot = path[min(j, tile.count - 1)];
    const int64_t key = call.key_at(slot, tile.kv_head), value = call.value_at(slot, tile.kv_head);
    for (int d = lane_of(); d < call.head_dim; d += kWarp) {
      keys[d * kTileKeys + j] = call.keys[key + int64_t{d} * kKeyLanes];
      values[d * kTileKeys + j] = call.values[value + d];
    }
  }
  __syncwarp();
}

template <int kColumns>
__global__ void __launch_bounds__(kWarps* kWarp) key_kernel(GradientCall call, int32_t tiles) {
  WINNOW_SHARED(float, all_keys, kWarps * kColumns * kWarp * kTileKeys);
  WINNOW_SHARED(float, all_values, kWarps * kColumns * kWarp * kTileKeys);
  WINNOW_SHARED(float, all_weights, 2 * kWarps * kWarp * kTileKeys);
  const AttentionCall& forward = call.forward;
  const int64_t unit = int64_t{blockIdx.x} * kWarps + warp_of();
  if (unit >= int64_t{tiles} * forward.kv_heads) return;
  float* keys = all_keys + warp_of() * kColumns * kWarp * kTileKeys;
  float* values = all_values + warp_of() * kColumns * kWarp * kTileKeys;
  float* weights = all_weights + warp_of() * 2 * kWarp * kTileKeys;
  const int32_t* words = forward.plan.key_tiles + 5 * (unit / forward.kv_heads);
  const KeyTile tile{words[0], words[1], static_cast<int32_t>(unit % forward.kv_heads)};
  const int32_t* own = forward.plan.uses + 2 * words[3];
  load_keys(keys, values, forward, tile,
            forward.plan.paths + forward.plan.segments[4 * own[0] + 3] + own[1] + words[2]);
  KeySums<kColumns> sums = {};
  for (int32_t use = words[3]; use < words[4]; ++use)
    add_segment(sums, call, tile, forward.plan.segments + 4 * forward.plan.uses[2 * use],
                forward.plan.uses[2 * use + 1] + words[2], keys, values, weights,
                weights + kWarp * kTileKeys);
#pragma unroll
  for (int j = 0; j < kTileKeys; ++j) {
    if (j >= tile.count) continue;
    const int64_t at = (int64_t{tile.row + j} * forward.kv_heads + tile.kv_head) * forward.head_dim;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const int d = c * kWarp + lane_of();
      if (d >= forward.head_dim) continue;
      call.dk[at + d] = sums.dk[j][c];
      call.dv[at + d] = sums.dv[j][c];
    }
  }
}

template <int kColumns>
Status backward(Device* device, const GradientCall& call, const Plan& plan) {
  const int64_t queries = int64_t{plan.tiles} * call.forward.kv_heads;
  const int64_t keys = int64_t{plan.key_tiles} * call.forward.kv_heads;
  WINNOW_TRY(
      launch(device, query_kernel<kColumns>, blocks_for(queries, kWarps), kWarps * kWarp, call, plan.tiles));
  return launch(device, key_kernel<kColumns>, blocks_for(keys, kWarps), kWarps * kWarp, call, plan.key_tiles);
}

}  // namespace

Status attention_backward(Device* device, const Attention* call, const AttentionGradients* gradients) {
  if (call->rows == 0) return kOk;
  DevicePlan plan;
  WINNOW_TRY(prepare_plan(device, call->plan, &plan));
  GradientCall prepared{
      attention_call(*call, plan), gradients->dout, gradients->dq, gradients->dk, gradients->dv, nullptr};
  const int64_t count = call->rows * call->heads;
  WINNOW_TRY(scratch(device, count, &prepared.delta));
  WINNOW_TRY(launch(device, delta_kernel, blocks_for(count, kWarps), kWarps * kWarp, prepared, count));
  if (call->head_dim <= 64) return backward<2>(device, prepared, call->plan);
  if (call->head_dim <= 128) return backward<4>(device, prepared, call->plan);
  return backward<8>(device, prepared, call->plan);
}

}  // namespace winnow::cuda
