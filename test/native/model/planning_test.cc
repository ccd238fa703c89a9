// Blocks, key runs, micro-batches, working memory.
#include <set>

#include "model/activations.h"
#include "model/attention_planning.h"
#include "model/room.h"
#include "model/workspace.h"
#include "tiny_model.h"
#include "train/batching.h"

namespace winnow::test {
namespace {

TEST("model/planning/blocks that a stretch of positions touches") {
  EXPECT(blocks_needed(0, 0) == 0 && blocks_needed(5, 0) == 0, "none");
  EXPECT(blocks_needed(0, 16) == 1 && blocks_needed(0, 17) == 2, "from a border");
  EXPECT(blocks_needed(15, 1) == 1 && blocks_needed(15, 2) == 2 && blocks_needed(20, 40) == 3, "from inside");
}

TEST("model/planning/runs cover a path in order and merge only what has no rows") {
  const std::vector<int32_t> blocks{7, 3};
  std::vector<KeyRun> runs;
  append_runs(runs, blocks, 20, 20, 30, -1);
  append_runs(runs, blocks, 20, 30, 36, -1);
  EXPECT(runs.size() == 2, "lanes 4-10, 10-16 of block 7 are one run");
  EXPECT(runs[0].block == 7 && runs[0].position == 16 && runs[0].begin == 4 && runs[0].end == 16, "first");
  EXPECT(runs[1].block == 3 && runs[1].position == 32 && runs[1].begin == 0 && runs[1].end == 4, "second");
  append_runs(runs, blocks, 20, 36, 38, 5);
  EXPECT(runs.size() == 3 && runs[2].row == 5 && runs[2].begin == 4, "a run with rows stands alone");
  EXPECT(key_slot(blocks, 20, 37) == 3 * 16 + 5, "slot of a position");
}

TEST("model/planning/a forest's slots are distinct and its runs name their rows") {
  TinyModel tiny(reference_ops(), "qwen2");
  Random random("plan");
  const auto common = random_tokens(random, 20, 37);
  TokenLists lists;
  for (int i = 0; i < 5; ++i) {
    auto list = common;
    list.resize(static_cast<size_t>(random.integer(3, 20)));
    const auto more = random_tokens(random, random.integer(0, 30), 37);
    list.insert(list.end(), more.begin(), more.end());
    lists.add(list);
  }
  const TokenForest forest = build_token_forest(lists.tokens, lists.offsets);
  KeyValueStore store(tiny.context, reference_ops(), tiny.model.config(), blocks_needed(forest));
  {
    BlockLease lease(store);
    const ForwardBatch batch = plan_batch(forest, lease);
    EXPECT(store.free_blocks() == 0, "exactly the blocks that were counted");
    EXPECT(std::set<int32_t>(batch.slots.begin(), batch.slots.end()).size() == forest.tokens.size(), "slots");
    for (const AttentionSegment& segment : batch.plan.segments) {
      int32_t position = 0;
      for (const KeyRun& run : segment.runs)
        for (int32_t lane = run.begin; lane < run.end; ++lane, ++position) {
          const auto row = static_cast<size_t>(run.row + lane - run.begin);
          EXPECT(run.position + lane == position && forest.positions[row] == position, "in order");
          EXPECT(batch.slots[row] == run.block * kKeyBlock + lane, "the row's key is in that lane");
        }
      EXPECT(position == segment.position_begin + segment.row_count, "to the last row");
    }
    expect_error("ERR_KV_FULL", [&] { lease.take(1); });
  }
  EXPECT(store.free_blocks() == store.blocks(), "free at the end of the lease");
}

// Rows of one forest of these sequences, counted by the forest itself.
int64_t forest_rows(const Sequences& sequences, const std::vector<size_t>& members) {
  const GatheredSequences gathered = gather(sequences, {members, 0});
  return static_cast<int64_t>(build_token_forest(gathered.tokens, gathered.offsets).tokens.size());
}

TEST("model/planning/batches hold every sequence once and no more rows than allowed") {
  for (int trial = 0; trial < 100; ++trial) {
    Random random(text("batches ", trial));
    TokenLists lists;
    std::set<size_t> expected;
    for (size_t i = 0; i < 15; ++i) {
      lists.add(random_tokens(random, random.integer(0, 8), 2));
      if (lists.offsets[i + 1] > lists.offsets[i]) expected.insert(i);
    }
    const Sequences sequences{lists.tokens, lists.offsets};
    const int64_t limit = random.integer(1, 30);
    std::set<size_t> seen;
    for (const SequenceBatch& batch : plan_batches(sequences, limit)) {
      EXPECT(batch.rows == forest_rows(sequences, batch.members), "rows are counted right");
      EXPECT(batch.rows <= limit || batch.members.size() == 1, "limit");
      for (const size_t member : batch.members) EXPECT(seen.insert(member).second, "once");
    }
    EXPECT(seen == expected, "all but the empty ones");
  }
}

TEST("model/planning/batches are cut where the least is shared") {
  Random random("groups");
  TokenLists lists;
  for (int32_t group = 0; group < 6; ++group) {
    std::vector<int32_t> prompt(40, group);
    for (int i = 0; i < 4; ++i) {
      auto sequence = prompt;
      const auto more = random_tokens(random, 10, 30);
      sequence.insert(sequence.end(), more.begin(), more.end());
      lists.add(sequence);
    }
  }
  const Sequences sequences{lists.tokens, lists.offsets};
  const auto batches = plan_batches(sequences, 200);  // two groups of 80 fit, and a half would
  EXPECT(batches.size() == 3, batches.size());
  for (const SequenceBatch& batch : batches) EXPECT(batch.members.size() == 8, "whole groups");
}

TEST("model/planning/activations take what activations.h says") {
  ModelConfig config = tiny_config("qwen2");
  const int64_t rows = 64;  // a multiple of 16: no padding
  const int64_t width = config.width, query = config.heads * config.head_dim;
  int64_t layer = 2 * width + 2 * query + config.heads + 2 * config.feed_forward + 2;
  const auto bytes = [&](Keep keep) { return activation_bytes(config, config.layers, rows, keep); };
  EXPECT(bytes(Keep::kAll) == 4 * rows * (config.layers * layer + width + 1), "qwen2");
  EXPECT(bytes(Keep::kLayerInputs) == 4 * rows * (config.layers * width + width + 1), "layer inputs");
  config.qk_norm = true;
  layer += config.kv_heads * config.head_dim + config.heads + config.kv_heads;
  EXPECT(bytes(Keep::kAll) == 4 * rows * (config.layers * layer + width + 1), "q/k norm");
  EXPECT(bytes(Keep::kLayerInputs) == 4 * rows * (config.layers * width + width + 1), "layer inputs");
}

int64_t allocations = 0;
Ops counting_ops() {
  Ops ops = cpu_ops();
  ops.allocate = [](Context& context, size_t size_bytes) {
    ++allocations;
    return cpu_ops().allocate(context, size_bytes);
  };
  return ops;
}

TEST("model/planning/a steady-state step allocates nothing") {
  static const Ops ops = counting_ops();
  TinyModel tiny(ops, "qwen3");
  tiny.model.enable_training();
  const TokenLists sequences({{1, 2, 3, 4, 5, 6}, {1, 2, 3, 7, 8}, std::vector<int32_t>(40, 9)});
  std::vector<float> weight(sequences.tokens.size(), 1.0f);
  for (size_t s = 0; s < sequences.count(); ++s) weight[static_cast<size_t>(sequences.offsets[s])] = 0;
  LossOptions options;
  options.kind = LossKind::kSupervised;
  const auto step = [&] {
    accumulate(tiny.model, sequences, {weight, {}, {}, {}}, options);
    apply_gradients(tiny.model, {});
    score(tiny.model, sequences);
  };
  allocations = 0;
  step();
  EXPECT(allocations > 0, "the first step does allocate");
  allocations = 0;
  step();
  EXPECT(allocations == 0, allocations, " allocations in the second step");
}

struct HeldBytes {
  int64_t working, scratch, planned, planned_scratch;
};

// Of one gradient of 360 rows in six layers.
HeldBytes held_by_a_gradient(const std::string& architecture, Recompute recompute, int threads) {
  ThreadPool pool(threads);
  Context context{pool};
  ModelConfig config = tiny_config(architecture);
  config.layers = 6;
  Model model(context, cpu_ops(), config, DType::kBF16);
  model.initialise(1, 0.1f);
  model.enable_training();
  TokenLists sequences;
  for (int32_t s = 0; s < 4; ++s) sequences.add(std::vector<int32_t>(91, s));
  std::vector<float> weight(sequences.tokens.size(), 1.0f);
  for (size_t s = 0; s < sequences.count(); ++s) weight[static_cast<size_t>(sequences.offsets[s])] = 0;
  LossOptions options;
  options.kind = LossKind::kSupervised;
  options.max_batch_tokens = 360;
  options.recompute = recompute;
  accumulate(model, sequences, {weight, {}, {}, {}}, options);
  const MemoryPlan plan = plan_training(
      config, DType::kBF16, {.max_batch_tokens = 360, .recompute = recompute, .threads = threads});
  return {model.workspace().working_bytes(), pool.scratch_bytes(),
          plan.activations + plan.head + plan.kv_store, plan.scratch};
}

TEST("model/planning/a gradient holds no more than was planned, and less when layers are computed again") {
  for (const std::string& architecture : tiny_architectures())
    for (const int threads : {1, 2}) {
      const HeldBytes all = held_by_a_gradient(architecture, Recompute::kNone, threads);
      const HeldBytes inputs = held_by_a_gradient(architecture, Recompute::kLayer, threads);
      for (const HeldBytes& held : {all, inputs}) {
        EXPECT(held.working <= held.planned, architecture, ": ", held.working, " of ", held.planned);
        EXPECT(2 * held.working > held.planned, "and not much less: ", held.working, " of ", held.planned);
        EXPECT(held.scratch > 0 && held.scratch <= held.planned_scratch, architecture, ": ", held.scratch);
      }
      EXPECT(inputs.working < all.working, architecture, ": ", inputs.working, " not ", all.working);
      EXPECT(inputs.planned < all.planned, "the plan too");
    }
}

TEST(
    "model/planning/working memory is made for the largest planned batch at once, and given up for a larger "
    "plan") {
  TinyModel tiny(cpu_ops(), "qwen2");
  Workspace& workspace = tiny.model.workspace();
  const auto hold = [&](int64_t rows) {
    workspace.layer_activations(rows);
    return std::vector<const void*>{
        workspace.rows_view(Slot::kHidden, rows, 8).data, workspace.activations(rows).final_residual().data,
        workspace.layer_inputs(rows).final_residual().data, workspace.store(rows).layer(0).keys};
  };
  const WorkingSize size{.rows = 40, .computed = 40, .one_layer = 40, .blocks = 40};
  {
    const Reservation none = workspace.reserve(size, 1000);
  }
  const std::vector<const void*> first = hold(3);
  const int64_t held = workspace.working_bytes();
  EXPECT(hold(40) == first && workspace.working_bytes() == held, "a larger batch of the plan takes no more");
  EXPECT(workspace.layer_activations(1).capacity() == 40, workspace.layer_activations(1).capacity());
  {
    const Reservation none = workspace.reserve({.rows = 30, .computed = 2}, 900);
  }
  EXPECT(workspace.working_bytes() == held, "a smaller plan changes nothing");
  for (const WorkingSize& larger : {WorkingSize{.rows = 41}, WorkingSize{.computed = 41},
                                    WorkingSize{.one_layer = 41}, WorkingSize{.blocks = 41}}) {
    hold(3);
    {
      const Reservation none = workspace.reserve(larger, 0);
    }
    EXPECT(workspace.working_bytes() == 0, "what stands where the larger will: ", workspace.working_bytes());
  }
  hold(3);
  {
    const Reservation none = workspace.reserve({}, 1001);
  }
  EXPECT(workspace.working_bytes() == 0, "more bytes");
}

TEST("model/planning/memory that is not there is refused") {
  ThreadPool pool(1);
  Context context{pool};
  for (const Ops* ops : {&reference_ops(), &cpu_ops()}) {
    EXPECT(ops->available_bytes(context) > 0, "something is available");
    require_memory(context, *ops, 1, "one byte", "");
    expect_error("ERR_MEMORY_PLAN",
                 [&] { require_memory(context, *ops, int64_t{1} << 60, "an exbibyte", ""); });
    ops->reserve(context, size_t{1} << 60);  // nothing, where memory is the host's
    ops->reserve(context, 0);
  }
}

}  // namespace
}  // namespace winnow::test
