// Attention over token forests: values, gradients, and equal bits however a path is cut and shared.
#include <cmath>
#include <limits>

#include "op_test.h"
#include "ops/attention_forest.h"
#include "ops/gradient.h"

namespace winnow::test {
namespace {

struct NamedForest {
  const char* name;
  Forest forest;
};

// Completions of two prompts after 0 to 12 tokens of their own; of the second one, some with two rows at
// once.
Forest decode_of_two_groups() {
  Forest forest{{{-1, 70, 0}, {-1, 41, 100}}, 2};
  for (int row = 0; row < 13; ++row) forest.parts.push_back({0, row + 1, 200 + 20 * row});
  for (int row = 0; row < 5; ++row) forest.parts.push_back({1, row + 1, 600 + 20 * row});
  forest.cached = static_cast<int>(forest.parts.size());
  for (int row = 0; row < 13; ++row) forest.parts.push_back({2 + row, 1, 1000 + row});
  for (int row = 0; row < 5; ++row) forest.parts.push_back({15 + row, 1 + row % 2, 1100 + 2 * row});
  return forest;
}

const std::vector<NamedForest>& forests() {
  static const std::vector<NamedForest> all = {
      {"empty", {{}, 0}},
      {"one token", {{{-1, 1, 0}}, 0}},
      {"one block", {{{-1, 16, 0}}, 0}},
      {"odd path", {{{-1, 37, 0}}, 0}},
      {"two trees", {{{-1, 5, 0}, {-1, 21, 100}}, 0}},
      {"siblings", {{{-1, 19, 0}, {0, 3, 100}, {0, 30, 200}, {1, 14, 300}, {1, 1, 400}}, 0}},
      {"long", {{{-1, 150, 0}}, 0}},
      {"long with siblings", {{{-1, 130, 0}, {0, 20, 200}, {0, 3, 300}, {0, 21, 400}}, 0}},
      {"decode", {{{-1, 33, 0}, {-1, 16, 100}, {0, 1, 200}, {0, 1, 300}, {1, 1, 400}}, 2}},
      {"decode of two groups", decode_of_two_groups()},
      {"twins", {{{-1, 30, 0}, {0, 5, 30}}, 1, true}},
      {"one block of two parts", {{{-1, 7, 0}, {0, 20, 7}, {1, 3, 27}}, 0, false, true}},
  };
  return all;
}
// Head widths that the model config admits: multiples of 8, whole vectors or not.
constexpr HeadShape kHeads[] = {{1, 1, 8},
                                {4, 2, 16},
                                {3, 1, 24},
                                {2, 2, 64},
                                {4, 2, 16, DType::kBF16},
                                {3, 1, 24, DType::kBF16},
                                {3, 1, 40, DType::kBF16},
                                {2, 1, 64, DType::kBF16},
                                {7, 1, 80, DType::kBF16}};

template <typename MakeCase>
std::vector<OpCase> cases(MakeCase make_case, bool allow_cached) {
  std::vector<OpCase> all;
  for (const NamedForest& named : forests())
    for (const HeadShape& heads : kHeads)
      if (allow_cached || named.forest.cached == 0) all.push_back(make_case(named.name, named.forest, heads));
  return all;
}

std::vector<OpCase> kv_write_cases() {
  std::vector<OpCase> all;
  for (const NamedForest& named : forests())
    for (const HeadShape& heads : kHeads) {
      const BuiltForest built = build_forest(named.forest);
      const int64_t width = heads.kv_heads * heads.head_dim;
      const std::vector<double> slots(built.row_slots.begin(), built.row_slots.end());
      all.push_back(
          {text("kv_write ", named.name, " Hk=", heads.kv_heads, " Dh=", heads.head_dim, " ",
                name(heads.stored)),
           {acc("keys", {built.blocks, heads.kv_heads, heads.head_dim, kKeyBlock}, tolerance::exact())
                .raw()
                .as(heads.stored),
            acc("values", {built.blocks, heads.kv_heads, kKeyBlock, heads.head_dim}, tolerance::exact())
                .raw()
                .as(heads.stored),
            // Twins have a slot in common, and what they write to it.
            input("k", {built.rows, width}).rows().holding(content_numbers("k", built.row_contents, width)),
            input("v", {built.rows, width}).rows().holding(content_numbers("v", built.row_contents, width)),
            indices("slots", built.rows, built.blocks * kKeyBlock).holding(slots)},
           [=](const Ops& ops, Context& context, const std::vector<View>& v) {
             ops.kv_write(context, layer_of(v[0], v[1], heads), v[2], v[3], v[4]);
             return std::vector<double>{};
           }});
    }
  return all;
}

// The path of tokens 0, 1, ... 52, whole, cut and shared in several ways. Where it is cut, siblings may
// branch off; `rows` tells where its tokens that are in the batch stand.
constexpr int kPathLength = 53;
struct PathVariant {
  const char* name;
  Forest forest;
  bool single_path;  // no other rows in the batch
};
const PathVariant kVariants[] = {
    {"cut at 7 and 24", {{{-1, 7, 0}, {0, 17, 7}, {1, 29, 24}}, 0}, true},
    {"cut at 16", {{{-1, 16, 0}, {0, 37, 16}}, 0}, true},
    {"with siblings",
     {{{-1, 9, 0}, {0, 13, 500}, {0, 8, 9}, {2, 40, 600}, {2, 36, 17}, {-1, 3, 700}}, 0},
     false},
    {"behind another tree", {{{-1, 33, 700}, {-1, 53, 0}, {0, 5, 800}}, 0}, false},
    {"from a cached prefix", {{{-1, 21, 0}, {0, 32, 21}}, 1}, false},
    {"its last token alone", {{{-1, 52, 0}, {0, 1, 52}}, 1}, false},
    {"its last token in a group",
     {{{-1, 45, 0},
       {0, 7, 45},
       {0, 3, 600},
       {0, 9, 700},
       {2, 1, 603},
       {1, 1, 52},
       {3, 1, 709},
       {0, 1, 800},
       {0, 1, 801},
       {0, 1, 802}},
      4},
     false},
    {"its last two tokens in a group",
     {{{-1, 45, 0}, {0, 6, 45}, {0, 3, 600}, {2, 1, 603}, {1, 2, 51}, {0, 1, 800}, {0, 2, 801}}, 3},
     false},
};

int64_t row_of_content(const BuiltForest& built, int content) {
  for (size_t row = 0; row < built.row_contents.size(); ++row)
    if (built.row_contents[row] == content) return static_cast<int64_t>(row);
  return -1;
}

Array row_of(const Array& array, int64_t row) {
  const size_t row_bytes = array.bytes.size() / static_cast<size_t>(array.shape[0]);
  const auto begin = array.bytes.begin() + row * static_cast<int64_t>(row_bytes);
  return {array.dtype, {1, array.shape[1]}, {begin, begin + static_cast<int64_t>(row_bytes)}};
}

void compare_paths(const std::string& what, const Outcome& whole, const Outcome& other,
                   const BuiltForest& built, const std::vector<int>& operands, const OpCase& op_case) {
  int compared = 0;
  for (int content = 0; content < kPathLength; ++content) {
    const int64_t row = row_of_content(built, content);
    if (row < 0) continue;
    ++compared;
    for (const int operand : operands) {
      const auto i = static_cast<size_t>(operand);
      check_same_bits(text(op_case.operands[i].name, " of token ", content, " ", what),
                      row_of(other.arrays[i], row), row_of(whole.arrays[i], content));
    }
  }
  EXPECT(compared > 0, "no row was compared ", what);
}

void check_paths(const Ops& ops) {
  ThreadPool pool(2);
  const Forest whole{{{-1, kPathLength, 0}}, 0};
  for (const HeadShape& heads : kHeads) {
    const OpCase forward = attention_forward_case("whole", whole, heads);
    const Outcome forward_whole = run_case(ops, pool, forward, make_arrays(forward));
    const OpCase backward = attention_backward_case("whole", whole, heads);
    const Outcome backward_whole = run_case(ops, pool, backward, make_arrays(backward));
    for (const PathVariant& variant : kVariants) {
      const std::string what = text(variant.name, ", head width ", heads.head_dim);
      const BuiltForest built = build_forest(variant.forest);
      const OpCase other = attention_forward_case(variant.name, variant.forest, heads);
      compare_paths(what, forward_whole, run_case(ops, pool, other, make_arrays(other)), built,
                    {kForwardOut, kForwardLse}, other);
      if (variant.forest.cached) continue;
      const OpCase other_backward = attention_backward_case(variant.name, variant.forest, heads);
      const Outcome done = run_case(ops, pool, other_backward, make_arrays(other_backward));
      compare_paths(what, backward_whole, done, built, {kBackwardDq}, other_backward);
      // The gradient of a key is summed over the rows that read it, in row order: the same rows here.
      if (variant.single_path)
        compare_paths(what, backward_whole, done, built, {kBackwardDk, kBackwardDv}, other_backward);
    }
  }
}

// Values that are not finite reach the rows that attend to them, and none before.
void check_infinite_value(const Ops& ops) {
  constexpr int kToken = 29;
  ThreadPool pool(2);
  const Forest forest{{{-1, kPathLength, 0}}, 0};
  const BuiltForest built = build_forest(forest);
  for (const HeadShape& heads : kHeads) {
    const OpCase forward = attention_forward_case("infinite value", forest, heads);
    const Outcome finite = run_case(ops, pool, forward, make_arrays(forward));
    std::vector<Array> arrays = make_arrays(forward);
    const int64_t slot = built.row_slots[kToken];
    const int64_t row = slot / kKeyBlock * heads.kv_heads * kKeyBlock + slot % kKeyBlock;
    arrays[kForwardValues].set_number(row * heads.head_dim, std::numeric_limits<double>::infinity());
    const Outcome other = run_case(ops, pool, forward, arrays);
    for (int token = 0; token < kToken; ++token)
      check_same_bits(text("out of token ", token, ", head width ", heads.head_dim),
                      row_of(other.arrays[kForwardOut], token), row_of(finite.arrays[kForwardOut], token));
    EXPECT(!std::isfinite(row_of(other.arrays[kForwardOut], kToken).number(0)), "token ", kToken);
  }
}

const Registration registered([] {
  add_op_tests("kv_write", kv_write_cases);
  add_op_tests("attention_forward", [] { return cases(attention_forward_case, true); });
  add_op_tests("attention_backward", [] { return cases(attention_backward_case, false); });
  add_backend_tests("attention equal bits of a path", check_paths);
  add_backend_tests("attention before a value that is not finite", check_infinite_value);
});

}  // namespace

TEST("ops/reference/attention sees its own path alone") {
  ThreadPool pool(1);
  const HeadShape heads{2, 1, 4};
  const OpCase one = attention_forward_case("a", {{{-1, 9, 0}, {0, 4, 100}}, 0}, heads);
  const OpCase two = attention_forward_case("a", {{{-1, 9, 1}, {0, 4, 100}}, 0}, heads);
  const Outcome a = run_case(reference_ops(), pool, one, make_arrays(one));
  const Outcome b = run_case(reference_ops(), pool, two, make_arrays(two));
  // Another prefix changes the last row: the comparison above can fail.
  expect_failure("another prefix", [&] {
    check_same_bits("out", row_of(b.arrays[kForwardOut], 12), row_of(a.arrays[kForwardOut], 12));
  });
}

TEST("ops/reference/attention by hand") {
  // One head of width 2; keys (1, 0), (0, 1); q = (ln 3, 0) with scale 1 weighs the two keys 3 : 1.
  ThreadPool pool(1);
  Context context{pool};
  float keys[32] = {}, values[32] = {}, out[4] = {}, lse[2] = {};
  keys[0] = 1;
  keys[16 + 1] = 1;
  values[0] = 4, values[1] = 8, values[2] = 0, values[3] = -8;
  float q[] = {5, 5, std::log(3.0f), 0};
  AttentionPlan plan{{{0, 2, 0, -1, {{0, 0, 0, 2, 0}}}}};
  reference_ops().attention_forward(context, View(out, DType::kF32, {2, 2}), View(lse, DType::kF32, {2, 1}),
                                    View(q, DType::kF32, {2, 2}), {keys, values, 1, 1, 2}, plan, 1.0f, 0);
  EXPECT(out[0] == 4 && out[1] == 8 && lse[0] == 5, out[0], " ", out[1], " ", lse[0]);
  EXPECT(std::fabs(out[2] - 3) < 1e-6f && std::fabs(out[3] - 4) < 1e-6f, out[2], " ", out[3]);
  EXPECT(std::fabs(lse[1] - std::log(4.0f)) < 1e-6f, lse[1]);
  plan.segments[0].runs[0].block = 1;
  expect_error("ERR_SHAPE", [&] {
    reference_ops().attention_forward(context, View(out, DType::kF32, {2, 2}), View(),
                                      View(q, DType::kF32, {2, 2}), {keys, values, 1, 1, 2}, plan, 1.0f, 0);
  });
}

TEST("ops/reference/attention over bf16 is attention over what was rounded") {
  ThreadPool pool(1);
  const Forest forest{{{-1, 21, 0}, {0, 6, 50}}, 0};
  const OpCase narrow = attention_forward_case("a", forest, {4, 2, 16, DType::kBF16});
  const OpCase wide = attention_forward_case("a", forest, {4, 2, 16});
  std::vector<Array> arrays = make_arrays(wide);
  const Outcome exact = run_case(reference_ops(), pool, wide, arrays);
  for (const int operand : {kForwardKeys, kForwardValues}) {
    Array& array = arrays[static_cast<size_t>(operand)];
    for (int64_t i = 0; i < array.size(); ++i)
      array.set_number(i, static_cast<double>(round_to_bf16(static_cast<float>(array.number(i)))));
  }
  const Outcome rounded = run_case(reference_ops(), pool, wide, arrays);
  const Outcome got = run_case(reference_ops(), pool, narrow, make_arrays(narrow));
  check_same_bits("out", got.arrays[kForwardOut], rounded.arrays[kForwardOut]);
  expect_failure("rounding changes it",
                 [&] { check_same_bits("out", got.arrays[kForwardOut], exact.arrays[kForwardOut]); });
  KeyValueLayer layer{nullptr, nullptr, 1, 1, 8, DType::kF16};
  Context context{pool};
  expect_error("ERR_SHAPE", [&] {
    reference_ops().kv_write(context, layer, View(nullptr, DType::kF32, {0, 8}),
                             View(nullptr, DType::kF32, {0, 8}), View(nullptr, DType::kI32, {0}));
  });
}

TEST("ops/reference/attention gradient") {
  const Ops& ops = reference_ops();
  ThreadPool pool(1);
  Context context{pool};
  const HeadShape heads{4, 2, 3};
  const BuiltForest built = build_forest({{{-1, 5, 0}, {0, 13, 50}, {0, 2, 80}}, 0});
  const int64_t rows = built.rows, width = 12, kv_width = 6;
  Array q = grid_array("q", {rows, width}), k = grid_array("k", {rows, kv_width});
  Array v = grid_array("v", {rows, kv_width}), dout = grid_array("dout", {rows, width});
  Array slots = index_array({built.row_slots.begin(), built.row_slots.end()});
  Array keys = zero_array({built.blocks, 2, 3, kKeyBlock}), values = keys;
  Array out = zero_array({rows, width}), lse = zero_array({rows, heads.heads});
  const KeyValueLayer layer{keys.view().f32(), values.view().f32(), built.blocks, 2, 3};
  const auto loss = [&] {
    ops.kv_write(context, layer, k.view(), v.view(), slots.view());
    ops.attention_forward(context, out.view(), lse.view(), q.view(), layer, built.plan, 0.5f, 0);
    return weighted_sum(dout, out);
  };
  loss();
  Array dq = zero_array({rows, width}), dk = zero_array({rows, kv_width}), dv = dk;
  ops.attention_backward(context, dq.view(), dk.view(), dv.view(), dout.view(), out.view(), q.view(),
                         lse.view(), layer, built.plan, 0.5f, 0);
  check_finite_differences("dq", q, dq, kStep, kGradientTolerance, loss);
  check_finite_differences("dk", k, dk, kStep, kGradientTolerance, loss);
  check_finite_differences("dv", v, dv, kStep, kGradientTolerance, loss);
}

}  // namespace winnow::test
