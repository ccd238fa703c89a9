// What attention makes of a plan is kept for the calls of one pass, and for no other.
#include "backend/cuda/loader.h"
#include "model/trainer_fixture.h"
#include "ops/attention_forest.h"

#if WINNOW_EMULATE_CUDA
#include "emulated_cuda.h"
#endif

namespace winnow::test {
namespace {

int64_t plans_made() {
  cuda::OpenDevice& open = cuda::open_device(0);
  const std::lock_guard lock(open.plans_mutex);
  return open.plans_made;
}

// Attention over a path of `positions` keys of which the last row is in the batch; every key's value is its
// position, and all scores are equal.
struct LastRow {
  explicit LastRow(Context& context_, const Ops& ops_) : context(context_), ops(ops_) {
    keys = static_cast<float*>(ops.allocate(context, sizeof values));
    for (int p = 0; p < kPositions; ++p)
      for (int d = 0; d < kDim; ++d) values[p * kDim + d] = static_cast<float>(p);
    value = static_cast<float*>(ops.allocate(context, sizeof values));
    ops.zero(context, keys, sizeof values);
    ops.upload(context, value, values, sizeof values);
    out = static_cast<float*>(ops.allocate(context, 2 * kDim * sizeof(float)));
    ops.zero(context, out, 2 * kDim * sizeof(float));
  }
  ~LastRow() {
    for (float* data : {keys, value, out}) ops.release(context, data);
  }
  LastRow(const LastRow&) = delete;
  LastRow& operator=(const LastRow&) = delete;

  float mean_position(int positions, uint64_t pass) {
    AttentionSegment segment{0, 1, positions - 1, -1, {}};
    for (int begin = 0; begin < positions; begin += kKeyBlock)
      segment.runs.push_back({begin / kKeyBlock, begin, 0, std::min(kKeyBlock, positions - begin), -1});
    const KeyValueLayer layer{keys, value, kPositions / kKeyBlock, 1, kDim};
    ops.attention_forward(context, View(out + kDim, DType::kF32, {1, kDim}), View{},
                          View(out, DType::kF32, {1, kDim}), layer, {{segment}}, 1.0f, pass);
    float mean = 0;
    ops.download(context, &mean, out + kDim, sizeof mean);
    return mean;
  }

  static constexpr int kPositions = 64, kDim = 8;
  Context& context;
  const Ops& ops;
  float values[kPositions * kDim] = {};
  float *keys = nullptr, *value = nullptr, *out = nullptr;
};

TEST("cuda/attention pass/a plan is flattened once a pass, and another pass has its own") {
  const Ops& ops = require_cuda_ops();
  ThreadPool pool(1);
  Context context{pool};
  LastRow row(context, ops);
  constexpr uint64_t kPass = uint64_t{1} << 60;  // far from those of models
  int64_t before = plans_made();
  for (int layer = 0; layer < 24; ++layer)
    EXPECT(std::fabs(row.mean_position(33, kPass) - 16.0f) < 1e-5f, "layer ", layer);
  EXPECT(plans_made() == before + 1, plans_made() - before, " plans for 24 layers");
  before = plans_made();
  EXPECT(std::fabs(row.mean_position(41, kPass + 1) - 20.0f) < 1e-5f, "a longer path in the next pass");
  EXPECT(std::fabs(row.mean_position(21, 0) - 10.0f) < 1e-5f, "a plan of no pass");
  EXPECT(std::fabs(row.mean_position(51, 0) - 25.0f) < 1e-5f, "another plan of no pass");
  EXPECT(plans_made() == before + 3, plans_made() - before, " plans for three");
}

TEST("cuda/attention pass/a model's layers share a plan, forward, recomputed and backward") {
  const Ops& ops = require_cuda_ops();
  TinyModel tiny(ops, "qwen2");
  EXPECT(tiny.model.config().layers > 1, "layers that share");
  int64_t before = plans_made();
  score(tiny.model, kSequences);
  EXPECT(plans_made() == before + 1, plans_made() - before, " plans to score");
  tiny.model.enable_training();
  LossOptions options = supervised();
  options.recompute = Recompute::kLayer;
  before = plans_made();
  accumulate(tiny.model, kSequences, {unit_weights(kSequences), {}, {}, {}}, options);
  EXPECT(plans_made() == before + 3, plans_made() - before, " plans to train");
}

#if WINNOW_EMULATE_CUDA
TEST("cuda/attention pass/plans of the two directions do not drive each other from the device") {
  const Ops& ops = require_cuda_ops();
  ThreadPool pool(1);
  const Forest forest{{{-1, 19, 0}, {0, 3, 100}}, 0};
  const OpCase cases[] = {attention_forward_case("f", forest, {2, 1, 8}),
                          attention_backward_case("b", forest, {2, 1, 8})};
  size_t counts[2][2] = {};  // of copies, by round and direction: those of the operands are the same
  for (size_t* round : counts)
    for (const OpCase& each : cases) {
      const size_t before = emulated::uploads;
      run_case(ops, pool, each, make_arrays(each));
      *round++ = emulated::uploads - before;
    }
  for (int direction = 0; direction < 2; ++direction)
    EXPECT(counts[0][direction] == counts[1][direction] + 1, cases[direction].label, ": ",
           counts[0][direction], " copies with the plan, then ", counts[1][direction]);
}
#endif

}  // namespace
}  // namespace winnow::test
