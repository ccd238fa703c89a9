#include "ops/attention_forest.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace winnow::test {

KeyValueLayer layer_of(const View& keys, const View& values, HeadShape shape) {
  return {.keys = keys.data,
          .values = values.data,
          .blocks = keys.shape[0],
          .kv_heads = static_cast<int>(shape.kv_heads),
          .head_dim = static_cast<int>(shape.head_dim),
          .dtype = keys.dtype};
}

namespace {

// Lanes that no token wrote hold NaN: memory is undefined after allocate.
std::vector<double> layer_numbers(const BuiltForest& built, HeadShape shape, bool keys) {
  const int64_t width = shape.kv_heads * shape.head_dim;
  std::vector<double> numbers(static_cast<size_t>(built.blocks * width * kKeyBlock),
                              std::numeric_limits<double>::quiet_NaN());
  for (const auto& [slot, content] : built.slots) {
    const std::vector<double> row = content_numbers(keys ? "k" : "v", {content}, width);
    const int64_t block = slot / kKeyBlock, lane = slot % kKeyBlock;
    for (int64_t i = 0; i < width; ++i) {
      const int64_t head = i / shape.head_dim, d = i % shape.head_dim, base = block * shape.kv_heads + head;
      const int64_t at = keys ? (base * shape.head_dim + d) * kKeyBlock + lane
                              : (base * kKeyBlock + lane) * shape.head_dim + d;
      numbers[static_cast<size_t>(at)] = row[static_cast<size_t>(i)];
    }
  }
  return numbers;
}

float scale_of(HeadShape shape) {
  return static_cast<float>(1 / std::sqrt(static_cast<double>(shape.head_dim)));
}

// Error of a scaled score, in absolute terms: a chain of head_dim products, then one.
double score_error(HeadShape shape) {
  const double scale = static_cast<double>(scale_of(shape));
  return scale * tolerance::dot(shape.head_dim, 1, 1).absolute + 2 * tolerance::kUnit;
}

// Relative error of a probability, in units: exp of a score that errs, over a sum of such.
double probability_units(HeadShape shape, int64_t keys) {
  return 2 * score_error(shape) / tolerance::kUnit + tolerance::positive_sum(keys) + 10;
}

int64_t longest_path(const BuiltForest& built) {
  int64_t longest = 1;
  for (const AttentionSegment& segment : built.plan.segments)
    longest = std::max<int64_t>(longest, segment.position_begin + segment.row_count);
  return longest;
}

void add_twins(BuiltForest& built) {
  const std::vector<AttentionSegment> segments = built.plan.segments;
  for (AttentionSegment twin : segments) {
    const auto first = static_cast<size_t>(twin.row_begin), count = static_cast<size_t>(twin.row_count);
    twin.row_begin = static_cast<int32_t>(built.rows);
    built.plan.segments.push_back(twin);
    for (size_t row = first; row < first + count; ++row) {
      built.row_contents.push_back(built.row_contents[row]);
      built.row_slots.push_back(built.row_slots[row]);
    }
    built.rows += twin.row_count;
  }
}

}  // namespace

BuiltForest build_forest(const Forest& forest) {
  BuiltForest built;
  std::vector<std::vector<KeyRun>> paths;
  std::vector<int32_t> ends;
  for (size_t index = 0; index < forest.parts.size(); ++index) {
    const ForestPart& part = forest.parts[index];
    const bool cached = static_cast<int>(index) < forest.cached;
    const int32_t begin = part.parent < 0 ? 0 : ends[static_cast<size_t>(part.parent)];
    const int32_t end = begin + part.length;
    std::vector<KeyRun> path =
        part.parent < 0 ? std::vector<KeyRun>{} : paths[static_cast<size_t>(part.parent)];
    const auto row_begin = static_cast<int32_t>(built.rows);
    for (int32_t position = begin; position < end;) {
      const int32_t base = position / kKeyBlock * kKeyBlock, stop = std::min(end, base + kKeyBlock);
      const bool joins = forest.joined && position == begin && position > base && !path.empty();
      const auto block = joins ? path.back().block : static_cast<int32_t>(built.blocks++);
      path.push_back({block, base, position - base, stop - base, cached ? -1 : row_begin + position - begin});
      for (; position < stop; ++position) {
        const int content = part.contents + position - begin;
        built.slots.emplace_back(block * kKeyBlock + position - base, content);
        if (cached) continue;
        built.row_slots.push_back(built.slots.back().first);
        built.row_contents.push_back(content);
      }
    }
    paths.push_back(path);
    ends.push_back(end);
    if (cached) continue;
    built.plan.segments.push_back(
        {row_begin, part.length, begin, std::max(-1, part.parent - forest.cached), path});
    built.rows += part.length;
  }
  if (forest.twins) add_twins(built);
  const int64_t last = built.blocks++;
  for (AttentionSegment& segment : built.plan.segments)
    for (KeyRun& run : segment.runs) run.block = static_cast<int32_t>(last - run.block);
  const auto move = [&](int64_t& slot) { slot = (last - slot / kKeyBlock) * kKeyBlock + slot % kKeyBlock; };
  for (auto& [slot, content] : built.slots) move(slot);
  for (int64_t& slot : built.row_slots) move(slot);
  return built;
}

std::vector<double> content_numbers(const std::string& name, const std::vector<int>& contents,
                                    int64_t width) {
  std::vector<double> numbers;
  for (const int content : contents) {
    Random random(text(name, content));
    for (int64_t i = 0; i < width; ++i)
      numbers.push_back(static_cast<double>(static_cast<float>(random.uniform(-1, 1))));
  }
  return numbers;
}

OpCase attention_forward_case(const std::string& label, const Forest& forest, HeadShape shape) {
  const BuiltForest built = build_forest(forest);
  const int64_t rows = built.rows, width = shape.heads * shape.head_dim, keys = longest_path(built);
  const double units = probability_units(shape, keys);
  const Tolerance of_lse{(units + 4) * tolerance::kUnit, 4 * tolerance::kUnit, 1e-11};
  return {
      text("forward ", label, " H=", shape.heads, " Hk=", shape.kv_heads, " Dh=", shape.head_dim, " ",
           name(shape.stored)),
      {set("out", {rows, width}, tolerance::cancelling(units, 1)), set("lse", {rows, shape.heads}, of_lse),
       input("q", {rows, width}).holding(content_numbers("q", built.row_contents, width)),
       input("keys", {built.blocks, shape.kv_heads, shape.head_dim, kKeyBlock})
           .raw()
           .as(shape.stored)
           .holding(layer_numbers(built, shape, true)),
       input("values", {built.blocks, shape.kv_heads, kKeyBlock, shape.head_dim})
           .raw()
           .as(shape.stored)
           .holding(layer_numbers(built, shape, false))},
      [=](const Ops& ops, Context& context, const std::vector<View>& v) {
        ops.attention_forward(context, v[kForwardOut], v[kForwardLse], v[kForwardQ],
                              layer_of(v[kForwardKeys], v[kForwardValues], shape), built.plan,
                              scale_of(shape), 0);
        return std::vector<double>{};
      },
      false};
}

OpCase attention_backward_case(const std::string& label, const Forest& forest, HeadShape shape) {
  const BuiltForest built = build_forest(forest);
  const int64_t rows = built.rows, width = shape.heads * shape.head_dim,
                kv_width = shape.kv_heads * shape.head_dim;
  ThreadPool pool(1);
  const OpCase forward = attention_forward_case(label, forest, shape);
  const Outcome done = run_case(reference_ops(), pool, forward, make_arrays(forward));
  const auto numbers = [&](ForwardOperand operand) {
    std::vector<double> all;
    for (int64_t i = 0; i < done.arrays[operand].size(); ++i) all.push_back(done.arrays[operand].number(i));
    return all;
  };
  // |dout . v - delta| <= 2 dout_width, each probability errs by `units`; a key is read by up to `readers`
  // rows of every head of its group, with probabilities that fall with the length of the path.
  const double units =
      probability_units(shape, longest_path(built)) + 2 * tolerance::positive_sum(shape.head_dim);
  const double largest =
      2 * static_cast<double>(shape.head_dim) / std::sqrt(static_cast<double>(shape.head_dim));
  const double readers =
      2 + std::log(1 + static_cast<double>(rows)) * static_cast<double>(shape.heads / shape.kv_heads);
  const Tolerance of_dq = tolerance::cancelling(units, largest);
  const Tolerance of_dkv = tolerance::cancelling(units, largest * readers);
  return {text("backward ", label, " H=", shape.heads, " Hk=", shape.kv_heads, " Dh=", shape.head_dim, " ",
               name(shape.stored)),
          {set("dq", {rows, width}, of_dq), set("dk", {rows, kv_width}, of_dkv),
           set("dv", {rows, kv_width}, of_dkv),
           input("dout", {rows, width}).holding(content_numbers("dout", built.row_contents, width)),
           input("out", {rows, width}).holding(numbers(kForwardOut)),
           input("q", {rows, width}).holding(content_numbers("q", built.row_contents, width)),
           input("lse", {rows, shape.heads}).holding(numbers(kForwardLse)), forward.operands[kForwardKeys],
           forward.operands[kForwardValues]},
          [=](const Ops& ops, Context& context, const std::vector<View>& v) {
            ops.attention_backward(context, v[kBackwardDq], v[kBackwardDk], v[kBackwardDv], v[kBackwardDout],
                                   v[kBackwardOut], v[kBackwardQ], v[kBackwardLse],
                                   layer_of(v[kBackwardKeys], v[kBackwardValues], shape), built.plan,
                                   scale_of(shape), 0);
            return std::vector<double>{};
          },
          false};
}

}  // namespace winnow::test
