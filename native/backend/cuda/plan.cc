#include "backend/cuda/plan.h"

#include <algorithm>
#include <string>

#include "base/error.h"

namespace winnow::cuda {
namespace {

void check_plan(const char* op, const AttentionPlan& plan, const KeyValueLayer& layer, int64_t rows,
                bool need_rows) {
  const auto require = [op](bool holds, const char* what) {
    if (!holds) throw Error("ERR_SHAPE", std::string("[") + op + "] the attention plan does not fit", what);
  };
  int64_t covered = 0;
  for (const AttentionSegment& segment : plan.segments) {
    const int64_t end_row = int64_t{segment.row_begin} + segment.row_count;
    require(segment.row_begin >= 0 && segment.row_count >= 0 && end_row <= rows,
            "segment rows inside the batch");
    int64_t position = 0;
    for (const KeyRun& run : segment.runs) {
      require(run.block >= 0 && run.block < layer.blocks, "blocks inside the key/value layer");
      require(run.position % kKeyBlock == 0 && run.begin >= 0 && run.begin < run.end &&
                  run.end <= kKeyBlock && int64_t{run.position} + run.begin == position,
              "runs that cover the path without gaps");
      require(run.row == -1 || (run.row >= 0 && int64_t{run.row} + (run.end - run.begin) <= rows),
              "key rows inside the batch");
      require(!need_rows || run.row >= 0, "a batch row for every key");
      position = int64_t{run.position} + run.end;
    }
    require(segment.row_count == 0 || position == int64_t{segment.position_begin} + segment.row_count,
            "runs that end at the segment's last row");
    covered += segment.row_count;
  }
  require(covered == rows, "every row in exactly one segment");
}

// A stretch of a segment's path whose keys are consecutive rows.
struct Stretch {
  int32_t row, count, segment, position;
};

std::vector<Stretch> stretches(const AttentionPlan& plan) {
  std::vector<Stretch> all;
  for (size_t index = 0; index < plan.segments.size(); ++index) {
    const size_t first = all.size();
    for (const KeyRun& run : plan.segments[index].runs) {
      const int32_t count = run.end - run.begin;
      if (all.size() > first && all.back().row + all.back().count == run.row)
        all.back().count += count;
      else
        all.push_back({run.row, count, static_cast<int32_t>(index), run.position + run.begin});
    }
  }
  return all;
}

// Rows of keys are cut where a path that uses them begins or ends; between the cuts all have the same users.
void append_keys(const char* op, const AttentionPlan& plan, int64_t rows, Plan& flat,
                 std::vector<int32_t>& words) {
  const std::vector<Stretch> all = stretches(plan);
  std::vector<int32_t> cuts = {0, static_cast<int32_t>(rows)};
  for (const Stretch& stretch : all) {
    cuts.push_back(stretch.row);
    cuts.push_back(stretch.row + stretch.count);
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  const size_t pieces = cuts.size() - 1;
  std::vector<std::vector<int32_t>> users(pieces);  // segment, position of the piece's first key
  for (const Stretch& stretch : all) {
    auto piece = static_cast<size_t>(std::lower_bound(cuts.begin(), cuts.end(), stretch.row) - cuts.begin());
    for (; piece < pieces && cuts[piece] < stretch.row + stretch.count; ++piece) {
      users[piece].push_back(stretch.segment);
      users[piece].push_back(stretch.position + cuts[piece] - stretch.row);
    }
  }
  std::vector<int32_t> uses;
  for (size_t piece = 0; piece < pieces; ++piece) {
    WINNOW_CHECK(rows == 0 || !users[piece].empty(), "ERR_SHAPE",
                 std::string("[") + op + "] the plan's keys are not the batch's rows");
    const auto first = static_cast<int32_t>(uses.size() / 2);
    uses.insert(uses.end(), users[piece].begin(), users[piece].end());
    for (int32_t row = cuts[piece]; row < cuts[piece + 1]; row += kTileKeys, ++flat.key_tiles)
      words.insert(words.end(), {row, std::min(kTileKeys, cuts[piece + 1] - row), row - cuts[piece], first,
                                 static_cast<int32_t>(uses.size() / 2)});
  }
  flat.uses = static_cast<int32_t>(uses.size() / 2);
  words.insert(words.end(), uses.begin(), uses.end());
}

// Positions at the beginning of both paths whose keys are in the same slots.
int32_t common_positions(const AttentionSegment& one, const AttentionSegment& other) {
  int32_t common = 0;
  for (size_t i = 0; i < std::min(one.runs.size(), other.runs.size()); ++i) {
    const KeyRun &left = one.runs[i], &right = other.runs[i];
    if (left.block != right.block || left.begin != right.begin) break;
    common = left.position + std::min(left.end, right.end);
    if (left.end != right.end) break;
  }
  return common;
}

// For each row of a decode batch, how many whole chunks at the beginning of its path the next row has as
// well. Empty where rows have no chunk in common, and where a segment has several rows, which share keys
// anyway.
std::vector<int32_t> chunks_with_next(const AttentionPlan& plan) {
  const std::vector<AttentionSegment>& segments = plan.segments;
  std::vector<int32_t> chunks(segments.size(), 0);
  for (size_t i = 0; i < segments.size(); ++i) {
    if (segments[i].row_count != 1) return {};
    if (i + 1 < segments.size() && segments[i + 1].row_begin == segments[i].row_begin + 1)
      chunks[i] = common_positions(segments[i], segments[i + 1]) / kChunkKeys;
  }
  const bool any = std::any_of(chunks.begin(), chunks.end(), [](int32_t count) { return count > 0; });
  return any ? chunks : std::vector<int32_t>{};
}

// Chunk after chunk, a tile of all rows in a stretch that has the chunk in common.
void append_shared_tiles(const std::vector<int32_t>& with_next, int group, Plan& flat,
                         std::vector<int32_t>& words) {
  const auto segments = static_cast<int32_t>(with_next.size());
  const int32_t chunks = with_next.empty() ? 0 : *std::max_element(with_next.begin(), with_next.end());
  for (int32_t chunk = 0; chunk < chunks; ++chunk)
    for (int32_t first = 0, last = 0; first < segments; first = last + 1) {
      last = first;
      while (with_next[static_cast<size_t>(last)] > chunk) ++last;  // the last segment has no next
      const int32_t queries = last > first ? (last - first + 1) * group : 0;
      for (int32_t query = 0; query < queries; query += kSharedQueries, ++flat.shared_tiles)
        words.insert(words.end(), {first, query, std::min(kSharedQueries, queries - query), chunk});
    }
}

void append_tiles(const AttentionPlan& plan, const std::vector<int32_t>& with_next, int group, Plan& flat,
                  std::vector<int32_t>& words) {
  for (size_t index = 0; index < plan.segments.size(); ++index) {
    int32_t shared = with_next.empty() ? 0 : with_next[index];
    if (!with_next.empty() && index > 0) shared = std::max(shared, with_next[index - 1]);
    for (int32_t query = 0; query < plan.segments[index].row_count * group;
         query += kTileQueries, ++flat.tiles)
      words.insert(words.end(), {static_cast<int32_t>(index), query, shared});
  }
}

}  // namespace

Plan flatten_plan(const char* op, const AttentionPlan& plan, const KeyValueLayer& layer, int64_t rows,
                  int group, bool gradients, std::vector<int32_t>& words) {
  check_plan(op, plan, layer, rows, gradients);
  words.clear();
  Plan flat{};
  for (const AttentionSegment& segment : plan.segments) {
    words.insert(words.end(), {segment.row_begin, segment.row_count, segment.position_begin,
                               static_cast<int32_t>(flat.entries)});
    if (!segment.runs.empty()) flat.entries += segment.runs.back().position + segment.runs.back().end;
    flat.longest = std::max<int64_t>(flat.longest, segment.position_begin + segment.row_count);
    ++flat.segments;
  }
  WINNOW_CHECK(flat.entries <= INT32_MAX, "ERR_SHAPE",
               std::string("[") + op + "] the paths are too long together",
               std::to_string(INT32_MAX) + " positions", std::to_string(flat.entries));
  int32_t entry = 0;
  for (const AttentionSegment& segment : plan.segments)
    for (const KeyRun& run : segment.runs) {
      words.insert(words.end(), {entry, run.block * kKeyBlock + run.begin, run.end - run.begin});
      entry += run.end - run.begin;
      ++flat.runs;
    }
  const std::vector<int32_t> with_next = gradients ? std::vector<int32_t>{} : chunks_with_next(plan);
  append_tiles(plan, with_next, group, flat, words);
  append_shared_tiles(with_next, group, flat, words);
  if (gradients) append_keys(op, plan, rows, flat, words);
  flat.host_words = words.data();
  flat.words = static_cast<int64_t>(words.size());
  return flat;
}

}  // namespace winnow::cuda
