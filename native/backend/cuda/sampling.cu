// Sampling, a block a row; what is drawn is described in backend/cpu/sampling.inc. Every filter keeps a
// prefix of the descending order, so a filter is a threshold on z and, among equal z, on the index: the
// threshold is found bit by bit, each bit by one pass over the row, and nothing is sorted.
#include "backend/cuda/softmax.h"

namespace winnow::cuda {
namespace {

constexpr int kMostTiles = 1024;  // consecutive tokens of a row, summed by a warp

struct Row {
  const float* logits;
  int64_t vocabulary, tile;  // tokens; tokens of a tile
  float inverse_temperature, maximum;

  __device__ float z(int64_t v) const { return logits[v] * inverse_temperature + 0.0f; }  // -0 becomes 0
  __device__ float mass(int64_t v) const { return expf(z(v) - maximum); }
  // Ordered as z is.
  __device__ uint32_t key(int64_t v) const {
    const uint32_t bits = __float_as_uint(z(v));
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  }
};

// Tokens before the end of the descending order: key above `key`, or equal to it and an index up to `last`.
struct Kept {
  uint32_t key = 0;
  int64_t last = 0x7fffffff;
  double mass = 0;  // of them
};

struct Shared {
  double* sums;    // (kThreads / kWarp)
  double* tiles;   // (kMostTiles)
  int64_t* index;  // (kThreads / kWarp)
};

__device__ double mass_from(const Row& row, uint32_t key, const Shared& shared) {
  double sum = 0;
  for (int64_t v = threadIdx.x; v < row.vocabulary; v += blockDim.x)
    if (row.key(v) >= key) sum += static_cast<double>(row.mass(v));
  return block_sum(sum, shared.sums);
}

__device__ double count_from(const Row& row, uint32_t key, const Shared& shared) {
  double count = 0;
  for (int64_t v = threadIdx.x; v < row.vocabulary; v += blockDim.x) count += row.key(v) >= key ? 1 : 0;
  return block_sum(count, shared.sums);
}

// tiles[i] = sum of value(v) over tile i.
template <typename Value>
__device__ void sum_tiles(const Row& row, const Shared& shared, const Value& value) {
  __syncthreads();
  for (int64_t tile = warp_of(); tile * row.tile < row.vocabulary; tile += blockDim.x / kWarp) {
    double sum = 0;
    const int64_t end = min(row.vocabulary, (tile + 1) * row.tile);
    for (int64_t v = tile * row.tile + lane_of(); v < end; v += kWarp) sum += value(v);
    sum = warp_sum(sum);
    if (lane_of() == 0) shared.tiles[tile] = sum;
  }
  __syncthreads();
}

// The index of the `rank`-th (from 1) token of this key.
__device__ int64_t index_of_equal(const Row& row, uint32_t key, double rank, const Shared& shared) {
  sum_tiles(row, shared, [&](int64_t v) { return row.key(v) == key ? 1.0 : 0.0; });
  if (threadIdx.x == 0) {
    double before = 0;
    int64_t tile = 0, v = 0;
    while ((tile + 1) * row.tile < row.vocabulary && before + shared.tiles[tile] < rank)
      before += shared.tiles[tile++];
    for (v = tile * row.tile; v < row.vocabulary; ++v)
      if (row.key(v) == key && ++before >= rank) break;
    *shared.index = v;
  }
  __syncthreads();
  const int64_t index = *shared.index;
  __syncthreads();
  return index;
}

// The largest key that `holds`, which holds for all keys up to one that is between the row's least and
// largest key.
template <typename Holds>
__device__ uint32_t largest_key(const Row& row, const Shared& shared, const Holds& holds) {
  int64_t least = 0xffffffff, largest = 0;
  for (int64_t v = threadIdx.x; v < row.vocabulary; v += blockDim.x) {
    least = min(least, int64_t{row.key(v)});
    largest = max(largest, int64_t{row.key(v)});
  }
  least = -block_max(-least, shared.index);
  __syncthreads();
  largest = block_max(largest, shared.index);
  uint32_t key = 0;
  for (uint32_t bit = 0x80000000u; bit != 0; bit >>= 1) {
    const uint32_t next = key | bit;
    if (next <= least || (next <= largest && holds(next))) key = next;
  }
  return key;
}

__device__ Kept keep_top_k(const Row& row, int32_t top_k, const Shared& shared) {
  Kept kept;
  kept.key = largest_key(row, shared, [&](uint32_t key) { return count_from(row, key, shared) >= top_k; });
  const double above = kept.key == 0xffffffffu ? 0 : count_from(row, kept.key + 1, shared);
  const double mass_above = kept.key == 0xffffffffu ? 0 : mass_from(row, kept.key + 1, shared);
  kept.last = index_of_equal(row, kept.key, top_k - above, shared);
  kept.mass = mass_above + (top_k - above) * static_cast<double>(row.mass(kept.last));
  return kept;
}

// The shortest prefix of `all` with `top_p` of its mass.
__device__ Kept keep_nucleus(const Row& row, const Kept& all, double top_p, const Shared& shared) {
  const double target = top_p * all.mass;
  Kept kept{0, all.last, all.mass};
  kept.key = largest_key(row, shared, [&](uint32_t key) {
    const double mass = key <= all.key ? all.mass : mass_from(row, key, shared);
    return mass >= target && mass > 0;
  });
  const double above = kept.key == 0xffffffffu ? 0 : mass_from(row, kept.key + 1, shared);
  const double equal = count_from(row, kept.key, shared) -
                       (kept.key == 0xffffffffu ? 0 : count_from(row, kept.key + 1, shared));
  const int64_t first = index_of_equal(row, kept.key, 1, shared);
  const double needed = ceil((target - above) / static_cast<double>(row.mass(first)));
  const double rank = needed < 1 ? 1 : needed;
  if (rank < equal) {
    const int64_t last = index_of_equal(row, kept.key, rank, shared);
    kept.last = kept.key == all.key ? min(last, all.last) : last;
  } else if (kept.key != all.key) {
    kept.last = row.vocabulary;
  }
  return kept;
}

__device__ int64_t greedy_token(const Row& row, const Shared& shared) {
  int64_t best = row.vocabulary;
  for (int64_t v = threadIdx.x; v < row.vocabulary && best == row.vocabulary; v += blockDim.x)
    if (row.z(v) == row.maximum) best = v;
  return -block_max(-best, shared.index);
}

// The first token in index order at which the sum of kept masses exceeds `uniform` of the whole. Thread 0.
template <typename Mass>
__device__ int64_t walk(const Row& row, double uniform, const Shared& shared, const Mass& mass) {
  const int64_t tiles = (row.vocabulary + row.tile - 1) / row.tile;
  double total = 0, running = 0;
  for (int64_t i = 0; i < tiles; ++i) total += shared.tiles[i];
  const double target = uniform * total;
  int64_t tile = 0;
  while (tile + 1 < tiles && running + shared.tiles[tile] <= target) running += shared.tiles[tile++];
  int64_t last = 0;
  for (int64_t v = tile * row.tile; v < min(row.vocabulary, (tile + 1) * row.tile); ++v) {
    const double m = mass(v);
    if (m == 0) continue;
    running += m;
    last = v;
    if (running > target) break;
  }
  return last;
}

__device__ int64_t draw_token(const Row& row, const Sampling& options, double sum, const Shared& shared) {
  Kept kept;
  kept.mass = sum;
  if (options.top_k > 0 && options.top_k < row.vocabulary) kept = keep_top_k(row, options.top_k, shared);
  if (options.top_p < 1) {
    if (kept.key == 0) kept.mass = mass_from(row, 0, shared);
    kept = keep_nucleus(row, kept, static_cast<double>(options.top_p), shared);
  }
  const auto mass = [&](int64_t v) {
    const uint32_t key = row.key(v);
    if (key < kept.key || (key == kept.key && v > kept.last)) return 0.0;
    const float m = row.mass(v);
    return m < options.min_p ? 0.0 : static_cast<double>(m);
  };
  sum_tiles(row, shared, mass);
  if (threadIdx.x == 0) *shared.index = walk(row, static_cast<double>(options.uniform), shared, mass);
  __syncthreads();
  return *shared.index;
}

__global__ void sample_kernel(int32_t* tokens, float* logprob, const float* logits, const Sampling* options,
                              int64_t vocabulary) {
  WINNOW_SHARED(float, shared_f32, kThreads / kWarp);
  WINNOW_SHARED(double, sums, kThreads / kWarp);
  WINNOW_SHARED(double, tiles, kMostTiles);
  WINNOW_SHARED(int64_t, index, kThreads / kWarp);
  const int64_t m = blockIdx.x;
  const Sampling mine = options[m];
  const float inverse = mine.temperature == 0 ? 1.0f : 1.0f / mine.temperature;
  const float* from = logits + m * vocabulary;
  const RowStatistics statistics = row_statistics(from, vocabulary, inverse, shared_f32, sums);
  if (!isfinite(statistics.lse)) {  // the same in every thread
    if (threadIdx.x == 0) tokens[m] = -1;
    return;
  }
  const int64_t tile = ((vocabulary + kMostTiles - 1) / kMostTiles + kWarp - 1) / kWarp * kWarp;
  const Row row{from, vocabulary, tile, inverse, statistics.maximum};
  const Shared shared{sums, tiles, index};
  const int64_t token =
      mine.temperature == 0 ? greedy_token(row, shared) : draw_token(row, mine, statistics.sum, shared);
  if (threadIdx.x != 0) return;
  tokens[m] = static_cast<int32_t>(token);
  logprob[m] = log_probability(statistics, from[token], inverse);
}

}  // namespace

Status sample(Device* device, int32_t* tokens, float* logprob, const float* logits, const Sampling* host_rows,
              int64_t m, int64_t vocabulary) {
  if (m == 0) return kOk;
  Sampling* options = nullptr;
  WINNOW_TRY(scratch(device, m, &options));
  WINNOW_TRY(upload(device, options, host_rows, static_cast<size_t>(m) * sizeof(Sampling)));
  WINNOW_TRY(launch(device, sample_kernel, static_cast<unsigned>(m), row_threads(vocabulary), tokens, logprob,
                    logits, options, vocabulary));
  return check_indices(device, tokens, m, vocabulary, FaultSource::kLogits);
}

}  // namespace winnow::cuda
