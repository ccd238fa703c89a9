#include "train/batching.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace winnow {
namespace {

// A forest more costs about as much as this many rows: weights are read once more.
constexpr int64_t kBatchPriceRows = 32;

int64_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::ranges::mismatch(a, b).in1 - a.begin();
}

std::vector<size_t> sorted_indices(const Sequences& sequences) {
  std::vector<size_t> order(sequences.count());
  std::iota(order.begin(), order.end(), size_t{0});
  std::erase_if(order, [&](size_t index) { return sequences.length(index) == 0; });
  std::ranges::stable_sort(order, [&](size_t a, size_t b) {
    return std::ranges::lexicographical_compare(sequences.at(a), sequences.at(b));
  });
  return order;
}

}  // namespace

// In sorted order a forest's rows are the first length plus every later length less its common prefix
// with the one before; a cut loses that prefix. best[j] is the least cost of the first j sequences.
std::vector<SequenceBatch> plan_batches(const Sequences& sequences, int64_t max_rows) {
  const std::vector<size_t> order = sorted_indices(sequences);
  const size_t count = order.size();
  std::vector<int64_t> shared(count, 0);
  for (size_t i = 1; i < count; ++i)
    shared[i] = common_prefix(sequences.at(order[i - 1]), sequences.at(order[i]));

  std::vector<int64_t> best(count + 1, std::numeric_limits<int64_t>::max());
  std::vector<size_t> begins(count + 1, 0);
  std::vector<int64_t> rows_of(count + 1, 0);
  best[0] = 0;
  for (size_t end = 1; end <= count; ++end) {
    int64_t added = 0;  // rows of the sequences after `begin`
    for (size_t begin = end; begin-- > 0;) {
      const int64_t rows = sequences.length(order[begin]) + added;
      if (rows <= max_rows || begin + 1 == end) {
        const int64_t cost = best[begin] + shared[begin] + kBatchPriceRows;
        if (cost < best[end]) best[end] = cost, begins[end] = begin, rows_of[end] = rows;
      }
      added += sequences.length(order[begin]) - shared[begin];
      if (added > max_rows) break;
    }
  }

  std::vector<SequenceBatch> batches;
  for (size_t end = count; end > 0; end = begins[end]) {
    SequenceBatch batch;
    batch.members.assign(order.begin() + static_cast<std::ptrdiff_t>(begins[end]),
                         order.begin() + static_cast<std::ptrdiff_t>(end));
    batch.rows = rows_of[end];
    batches.push_back(std::move(batch));
  }
  std::ranges::reverse(batches);
  return batches;
}

GatheredSequences gather(const Sequences& sequences, const SequenceBatch& batch) {
  GatheredSequences gathered;
  gathered.offsets.push_back(0);
  for (const size_t index : batch.members) {
    const auto tokens = sequences.at(index);
    gathered.tokens.insert(gathered.tokens.end(), tokens.begin(), tokens.end());
    gathered.offsets.push_back(static_cast<int64_t>(gathered.tokens.size()));
  }
  return gathered;
}

}  // namespace winnow
