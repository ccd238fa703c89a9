#include "model/token_forest.h"

#include <algorithm>
#include <numeric>

#include "model/sequences.h"

namespace winnow {
namespace {

// Sorted sequences [begin, end) that share their first `depth` tokens, which end in segment `parent`,
// and at least one token more.
struct Branch {
  size_t begin, end;
  int64_t depth;
  int32_t parent;
};

// A compressed trie over the sorted sequences, written out depth first: siblings by first token.
class ForestBuilder {
 public:
  ForestBuilder(TokenForest& forest, const Sequences& sequences)
      : forest_(forest), sequences_(sequences), order_(sequences.count()) {
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
      return std::ranges::lexicographical_compare(sequences_.at(a), sequences_.at(b));
    });
  }

  void build() {
    forest_.sequence_offsets.assign(sequences_.offsets.begin(), sequences_.offsets.end());
    forest_.sequence_rows.resize(sequences_.tokens.size());
    continue_from(0, order_.size(), 0, -1);
    while (!open_.empty()) {
      const Branch branch = open_.back();
      open_.pop_back();
      const int64_t depth = append_segment(branch);
      continue_from(branch.begin, branch.end, depth, static_cast<int32_t>(forest_.segments.size()) - 1);
    }
  }

 private:
  std::span<const int32_t> sorted(size_t rank) const { return sequences_.at(order_[rank]); }

  // The branch's tokens up to where its sequences end or part; returns that position.
  int64_t append_segment(const Branch& branch) {
    const auto first = sorted(branch.begin), last = sorted(branch.end - 1);
    const auto [part, unused] = std::ranges::mismatch(first, last);
    const int64_t end = part - first.begin();
    const auto row = static_cast<int32_t>(forest_.tokens.size());
    forest_.segments.push_back(
        {branch.parent, static_cast<int32_t>(branch.depth), row, static_cast<int32_t>(end - branch.depth)});
    for (int64_t position = branch.depth; position < end; ++position) {
      forest_.tokens.push_back(first[static_cast<size_t>(position)]);
      forest_.positions.push_back(static_cast<int32_t>(position));
    }
    return end;
  }

  void continue_from(size_t begin, size_t end, int64_t depth, int32_t segment) {
    const auto at_depth = static_cast<size_t>(depth);
    for (; begin < end && sorted(begin).size() == at_depth; ++begin) write_rows(order_[begin], segment);
    const size_t first_child = open_.size();
    while (begin < end) {
      const int32_t token = sorted(begin)[at_depth];
      size_t next = begin + 1;
      while (next < end && sorted(next)[at_depth] == token) ++next;
      open_.push_back({begin, next, depth, segment});
      begin = next;
    }
    std::reverse(open_.begin() + static_cast<std::ptrdiff_t>(first_child), open_.end());
  }

  void write_rows(size_t index, int32_t segment) {
    int32_t* rows = forest_.sequence_rows.data() + sequences_.offsets[index];
    while (segment >= 0) {
      const ForestSegment& part = forest_.segments[static_cast<size_t>(segment)];
      std::iota(rows + part.position_begin, rows + part.position_begin + part.length, part.row_begin);
      segment = part.parent;
    }
  }

  TokenForest& forest_;
  Sequences sequences_;
  std::vector<size_t> order_;
  std::vector<Branch> open_;
};

}  // namespace

TokenForest build_token_forest(std::span<const int32_t> tokens, std::span<const int64_t> offsets) {
  const Sequences sequences{tokens, offsets};
  require_offsets("build_token_forest", sequences);
  TokenForest forest;
  ForestBuilder(forest, sequences).build();
  return forest;
}

}  // namespace winnow
