// Decoding rows that share a prefix, which the CUDA backend reads once for several of them: the bits of rows
// that share nothing, and the reference's values.
#include "backend/cuda/plan.h"
#include "op_test.h"
#include "ops/attention_forest.h"

namespace winnow::test {
namespace {

// A prompt of two chunks of 256 keys and a part of the third, and two continuations, one past another chunk's
// end. Rows end in either or follow the prompt; the last row is of another prompt.
const Forest kShared{{{-1, 600, 0},
                      {0, 5, 1000},
                      {0, 260, 2000},
                      {-1, 300, 8000},
                      {1, 1, 3000},
                      {2, 1, 4000},
                      {2, 1, 4100},
                      {0, 1, 5000},
                      {0, 1, 6000},
                      {1, 1, 3100},
                      {3, 1, 7000}},
                     4};
// The same paths, none of which has a block in common with another.
const Forest kCopies{{{-1, 600, 0},
                      {0, 5, 1000},
                      {-1, 600, 0},
                      {2, 260, 2000},
                      {-1, 600, 0},
                      {4, 260, 2000},
                      {-1, 600, 0},
                      {-1, 600, 0},
                      {-1, 600, 0},
                      {8, 5, 1000},
                      {-1, 300, 8000},
                      {1, 1, 3000},
                      {3, 1, 4000},
                      {5, 1, 4100},
                      {6, 1, 5000},
                      {7, 1, 6000},
                      {9, 1, 3100},
                      {10, 1, 7000}},
                     11};
// Groups of seven heads as in Qwen2.5-0.5B, one and eight heads; widths of each kernel, whole warps or not.
constexpr HeadShape kHeads[] = {{14, 2, 64}, {7, 1, 24}, {3, 3, 16}, {8, 1, 72}, {4, 2, 128}, {2, 1, 136}};

int32_t shared_tiles(const Forest& forest, HeadShape shape) {
  const BuiltForest built = build_forest(forest);
  const KeyValueLayer layer{nullptr, nullptr, built.blocks, static_cast<int>(shape.kv_heads),
                            static_cast<int>(shape.head_dim)};
  std::vector<int32_t> words;
  return cuda::flatten_plan("test", built.plan, layer, built.rows,
                            static_cast<int>(shape.heads / shape.kv_heads), false, words)
      .shared_tiles;
}

TEST("cuda/attention/a shared prefix gives the bits of separate ones") {
  const Ops& ops = require_cuda_ops();
  ThreadPool pool(1);
  for (const HeadShape& shape : kHeads) {
    EXPECT(shared_tiles(kShared, shape) >= 3 && shared_tiles(kCopies, shape) == 0, "who shares tiles");
    const OpCase shared = attention_forward_case("shared prefix", kShared, shape);
    const OpCase copies = attention_forward_case("copies of it", kCopies, shape);
    const Outcome one = run_case(ops, pool, shared, make_arrays(shared));
    const Outcome other = run_case(ops, pool, copies, make_arrays(copies));
    for (const int operand : {kForwardOut, kForwardLse})
      check_same_bits(text(shared.operands[static_cast<size_t>(operand)].name, " ", shared.label),
                      one.arrays[static_cast<size_t>(operand)], other.arrays[static_cast<size_t>(operand)]);
  }
}

TEST("cuda/attention/a shared prefix gives the reference's values") {
  const Ops& ops = require_cuda_ops();
  for (const HeadShape& shape : kHeads) check_values(ops, attention_forward_case("shared", kShared, shape));
}

}  // namespace
}  // namespace winnow::test
