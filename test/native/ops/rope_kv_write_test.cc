// Rotary embedding and the writing of keys and values in one pass.
#include "op_test.h"
#include "ops/attention_forest.h"

namespace winnow::test {
namespace {

struct KeyShape {
  HeadShape heads;
  int64_t rows, blocks;
};
constexpr KeyShape kShapes[] = {{{2, 1, 8}, 0, 3},
                                {{1, 1, 2}, 1, 1},
                                {{2, 2, 6}, 3, 2},
                                {{6, 2, 32}, 5, 4},
                                {{4, 2, 64}, 33, 9},
                                {{3, 1, 130}, 7, 2},
                                {{14, 2, 24}, 40, 3},
                                {{6, 2, 32, DType::kBF16}, 5, 4},
                                {{3, 1, 26, DType::kBF16}, 33, 9}};

// Every row in a slot of its own, in no order; the slots that no row has keep what they hold.
std::vector<double> scattered_slots(const KeyShape& shape) {
  const int64_t slots = shape.blocks * kKeyBlock;
  std::vector<double> chosen;
  for (int64_t row = 0; row < shape.rows; ++row) chosen.push_back(static_cast<double>((5 + 7 * row) % slots));
  return chosen;
}

std::string label_of(const KeyShape& shape) {
  return text("M=", shape.rows, " H=", shape.heads.heads, " Hk=", shape.heads.kv_heads,
              " Dh=", shape.heads.head_dim, " ", name(shape.heads.stored));
}

std::vector<Operand> operands(const KeyShape& shape) {
  const auto [heads, rows, blocks] = shape;
  const int64_t half = heads.head_dim / 2;
  const Tolerance turned = tolerance::cancelling(3, 2);  // as of rope
  // Next to a tie a key may round to either neighbour: a step of bf16 is 2^16 of f32.
  const Tolerance kept = heads.stored == DType::kBF16 ? tolerance::cancelling(1 << 16, 2) : turned;
  return {acc("keys", {blocks, heads.kv_heads, heads.head_dim, kKeyBlock}, kept).raw().as(heads.stored),
          acc("values", {blocks, heads.kv_heads, kKeyBlock, heads.head_dim}, tolerance::exact())
              .raw()
              .as(heads.stored),
          acc("q", {rows, heads.heads * heads.head_dim}, turned).rows(),
          acc("k", {rows, heads.kv_heads * heads.head_dim}, turned).rows(),
          input("v", {rows, heads.kv_heads * heads.head_dim}).rows(),
          indices("slots", rows, blocks * kKeyBlock).holding(scattered_slots(shape)),
          input("cosine", {rows, half}).rows(),
          input("sine", {rows, half}).rows()};
}

OpCase fused_case(const KeyShape& shape) {
  return {label_of(shape), operands(shape),
          [=](const Ops& ops, Context& context, const std::vector<View>& v) {
            ops.rope_kv_write(context, layer_of(v[0], v[1], shape.heads), v[2], v[3], v[4], v[5], v[6], v[7]);
            return std::vector<double>{};
          }};
}

OpCase separate_case(const KeyShape& shape) {
  return {label_of(shape), operands(shape),
          [=](const Ops& ops, Context& context, const std::vector<View>& v) {
            for (const View& x : {v[2], v[3]}) {
              const int64_t heads = x.cols() / shape.heads.head_dim;
              ops.rope(context, View(x.data, x.dtype, {x.rows(), heads, shape.heads.head_dim}), v[6], v[7],
                       false);
            }
            ops.kv_write(context, layer_of(v[0], v[1], shape.heads), v[3], v[4], v[5]);
            return std::vector<double>{};
          }};
}

std::vector<OpCase> cases() {
  std::vector<OpCase> all;
  for (const KeyShape& shape : kShapes) all.push_back(fused_case(shape));
  return all;
}

void check_same_bits_as_separate(const Ops& ops) {
  ThreadPool pool(2);
  for (const KeyShape& shape : kShapes) {
    if (shape.rows == 0) continue;
    const OpCase fused = fused_case(shape), separate = separate_case(shape);
    const std::vector<Array> arrays = make_arrays(fused);
    const Outcome got = run_case(ops, pool, fused, arrays), expected = run_case(ops, pool, separate, arrays);
    for (size_t i = 0; i < arrays.size(); ++i)
      check_same_bits(text(fused.operands[i].name, " of ", fused.label), got.arrays[i], expected.arrays[i]);
  }
}

const Registration registered([] {
  add_op_tests("rope_kv_write", cases);
  add_backend_tests("rope_kv_write has the bits of rope and kv_write", check_same_bits_as_separate);
});

}  // namespace

TEST("ops/reference/rope_kv_write by hand") {
  ThreadPool pool(1);
  Context context{pool};
  // A query head and a key head of width 4: pairs (1, 3) by a right angle and (2, 4) by acos(0.6).
  float q[] = {1, 2, 3, 4}, k[] = {-1, -2, -3, -4}, v[] = {5, 6, 7, 8};
  float cosine[] = {0, 0.6f}, sine[] = {1, 0.8f};
  float keys[4 * kKeyBlock] = {}, values[4 * kKeyBlock] = {};
  int32_t slot = 3;
  const auto row = [](float* data, int64_t width) { return View(data, DType::kF32, {1, width}); };
  reference_ops().rope_kv_write(context, {keys, values, 1, 1, 4}, row(q, 4), row(k, 4), row(v, 4),
                                View(&slot, DType::kI32, {1}), row(cosine, 2), row(sine, 2));
  const float turned[] = {-3, -2, 1, 4};
  for (int d = 0; d < 4; ++d) {
    EXPECT(std::fabs(q[d] - turned[d]) < 1e-6f, "query ", d, " is ", q[d]);
    EXPECT(std::fabs(k[d] + turned[d]) < 1e-6f, "key ", d, " is ", k[d]);
    EXPECT(keys[d * kKeyBlock + 3] == k[d], "key ", d, " of the layer is ", keys[d * kKeyBlock + 3]);
    EXPECT(values[3 * 4 + d] == v[d], "value ", d, " of the layer is ", values[3 * 4 + d]);
    for (int lane = 0; lane < kKeyBlock; ++lane)
      EXPECT(lane == 3 || (keys[d * kKeyBlock + lane] == 0 && values[lane * 4 + d] == 0), "lane ", lane);
  }
  expect_error("ERR_SHAPE", [&] {  // a head width that is odd
    reference_ops().rope_kv_write(context, {keys, values, 1, 1, 1}, row(q, 1), row(k, 1), row(v, 1),
                                  View(&slot, DType::kI32, {1}), row(cosine, 0), row(sine, 0));
  });
}

}  // namespace winnow::test
