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
      0, 0,  1, 0, 2,  0,                                 // tiles: segment, first query
      0, 3,  0, 0, 3,  3, 1, 0,  3, 4, 4,  2, 0,  4,  5,  // key tiles: rows, offset, uses
      0, 0,  1, 0, 2,  0, 1, 3,  2, 3};                   // uses: segment, position
  EXPECT(words == expected, "the words of the plan");
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
