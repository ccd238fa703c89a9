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
  for (size_t index = 0; index < plan.segments.size(); ++index)
    for (int32_t query = 0; query < plan.segments[index].row_count * group;
         query += kTileQueries, ++flat.tiles)
      words.insert(words.end(), {static_cast<int32_t>(index), query});
  if (gradients) append_keys(op, plan, rows, flat, words);
  flat.host_words = words.data();
  flat.words = static_cast<int64_t>(words.size());
  return flat;
}

}  // namespace winnow::cuda
