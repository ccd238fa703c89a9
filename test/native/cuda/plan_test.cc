// The token forest, flattened for the device.
#include "backend/cuda/plan.h"

#include "harness.h"

namespace winnow::test {
namespace {

using winnow::cuda::flatten_plan;

// Three tokens at rows 0 to 2 in block 4, and two children of one and two tokens in blocks 5 and 6.
AttentionPlan family() {
  const KeyRun parent{4, 0, 0, 3, 0};
  return {{{0, 3, 0, -1, {parent}},
           {3, 1, 3, 0, {parent, {5, 0, 3, 4, 3}}},
           {4, 2, 3, 0, {parent, {6, 0, 3, 5, 4}}}}};
}
constexpr KeyValueLayer kLayer{nullptr, nullptr, 7, 1, 8};

TEST("cuda/a forest is flattened as by hand") {
  std::vector<int32_t> words;
  const cuda::Plan plan = flatten_plan("test", family(), kLayer, 6, 1, true, words);
  EXPECT(plan.segments == 3 && plan.runs == 5 && plan.tiles == 3 && plan.key_tiles == 3 && plan.uses == 5,
         plan.segments, " ", plan.runs, " ", plan.tiles, " ", plan.key_tiles, " ", plan.uses);
  EXPECT(plan.entries == 3 + 4 + 5 && plan.longest == 5, plan.entries, " ", plan.longest);
  const std::vector<int32_t> expected = {
      0, 3,  0, 0, 3,  1, 3, 3,  4, 2, 3,  7,             // segments: rows, position, path
      0, 64, 3, 3, 64, 3, 6, 83, 1, 7, 64, 3, 10, 99, 2,  // runs: path, slot, keys
      0, 0,  0, 1, 0,  0, 2, 0,  0,                       // tiles: segment, first query, shared chunks
      0, 3,  0, 0, 3,  3, 1, 0,  3, 4, 4,  2, 0,  4,  5,  // key tiles: rows, offset, uses
      0, 0,  1, 0, 2,  0, 1, 3,  2, 3};                   // uses: segment, position
  EXPECT(words == expected, "the words of the plan");
}

// A decode batch: row i's path is the blocks of `rows[i]` and one position of a block of its own.
AttentionPlan decode(const std::vector<std::vector<int32_t>>& rows) {
  AttentionPlan plan;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<int32_t>(i);
    AttentionSegment segment{row, 1, static_cast<int32_t>(rows[i].size()) * kKeyBlock, -1, {}};
    int32_t position = 0;
    for (const int32_t block : rows[i]) {
      segment.runs.push_back({block, position, 0, kKeyBlock, -1});
      position += kKeyBlock;
    }
    segment.runs.push_back({900 + row, position, 0, 1, -1});
    plan.segments.push_back(segment);
  }
  return plan;
}
constexpr KeyValueLayer kManyBlocks{nullptr, nullptr, 1000, 1, 8};

std::vector<int32_t> blocks_from(int32_t first, int32_t count) {
  std::vector<int32_t> blocks;
  for (int32_t i = 0; i < count; ++i) blocks.push_back(first + i);
  return blocks;
}

// The words of the tiles and shared tiles of a plan without gradients, which end it.
std::vector<int32_t> tile_words(const AttentionPlan& plan, int group, int32_t* shared_tiles) {
  std::vector<int32_t> words;
  const cuda::Plan flat = flatten_plan("test", plan, kManyBlocks, static_cast<int64_t>(plan.segments.size()),
                                       group, false, words);
  *shared_tiles = flat.shared_tiles;
  return {words.begin() + 4 * flat.segments + 3 * flat.runs, words.end()};
}

TEST("cuda/rows that begin with the same chunks share tiles") {
  // Three rows have two chunks of 16 blocks in common and a block more; the fourth only the first chunk.
  const std::vector<int32_t> prefix = blocks_from(0, 33);
  std::vector<int32_t> other = blocks_from(0, 20), longer = prefix;
  for (const int32_t block : blocks_from(200, 30)) other.push_back(block);
  longer.push_back(300);
  int32_t shared = 0;
  EXPECT((tile_words(decode({prefix, longer, prefix, other}), 7, &shared) ==
          std::vector<int32_t>{0, 0, 2,  1, 0, 2, 2,  0, 2, 3, 0, 1,  // tiles: the chunks that they skip
                               0, 0, 28, 0, 0, 0, 21, 1}),            // 4 rows of 7 heads, 3 rows
         "the tiles of four rows");
  EXPECT(shared == 2, shared);
  // 48 queries are more than a shared tile holds.
  const std::vector<int32_t> wide = tile_words(decode({prefix, prefix, prefix, other}), 12, &shared);
  EXPECT(shared == 4, shared);
  EXPECT((std::vector<int32_t>(wide.end() - 16, wide.end()) ==
          std::vector<int32_t>{0, 0, 32, 0, 0, 32, 16, 0, 0, 0, 32, 1, 0, 32, 4, 1}),
         "queries in tiles of at most 32");
  // Two families side by side, neither of which shares with the other.
  const std::vector<int32_t> twins = tile_words(
      decode({blocks_from(0, 16), blocks_from(0, 16), blocks_from(50, 17), blocks_from(50, 17)}), 1, &shared);
  EXPECT((std::vector<int32_t>(twins.end() - 8, twins.end()) == std::vector<int32_t>{0, 0, 2, 0, 2, 0, 2, 0}),
         "two families");
}

TEST("cuda/rows that do not share whole chunks, or are no neighbours, have no shared tile") {
  const auto count = [](const AttentionPlan& plan, int64_t rows) {
    std::vector<int32_t> words;
    return flatten_plan("test", plan, kManyBlocks, rows, 1, false, words).shared_tiles;
  };
  const std::vector<int32_t> chunk = blocks_from(0, 16);
  EXPECT(count(decode({chunk, chunk}), 2) == 1, "a chunk in common");
  EXPECT(count(decode({blocks_from(0, 15), blocks_from(0, 15)}), 2) == 0, "less than a chunk");
  std::vector<int32_t> late = chunk;
  late[15] = 700;
  EXPECT(count(decode({chunk, late}), 2) == 0, "another last block");
  AttentionPlan plan = decode({chunk, chunk, chunk});
  std::swap(plan.segments[1].row_begin, plan.segments[2].row_begin);
  EXPECT(count(plan, 3) == 0, "rows that do not follow each other");
  plan = decode({chunk, chunk});
  plan.segments[1].row_count = 2;
  plan.segments[1].runs.back().end = 2;
  EXPECT(count(plan, 3) == 0, "a segment of two rows");
}

TEST("cuda/a plan that does not fit is refused") {
  std::vector<int32_t> words;
  const auto refused = [&](const char* what, int64_t rows, auto change) {
    AttentionPlan plan = family();
    change(plan);
    expect_error("ERR_SHAPE", [&] { flatten_plan(what, plan, kLayer, rows, 1, true, words); });
  };
  refused("a row without a segment", 7, [](AttentionPlan&) {});
  refused("a block outside the layer", 6, [](AttentionPlan& plan) { plan.segments[0].runs[0].block = 7; });
  refused("a gap", 6, [](AttentionPlan& plan) { plan.segments[1].runs[1].begin = 4; });
  refused("a key without a row", 6, [](AttentionPlan& plan) { plan.segments[1].runs[0].row = -1; });
  refused("a path that is too short", 6, [](AttentionPlan& plan) { plan.segments[2].runs.pop_back(); });
}

}  // namespace
}  // namespace winnow::test
