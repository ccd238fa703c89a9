// Dropout and scaling.
#include "base/philox.h"
#include "op_test.h"
#include "ops/gradient.h"

namespace winnow::test {
namespace {

struct DropoutShape {
  int64_t m, k;
};
constexpr DropoutShape kShapes[] = {{0, 8}, {1, 1}, {3, 5}, {2, 16}, {7, 31}, {33, 130}, {3, 40000}};

std::vector<OpCase> dropout_cases() {
  std::vector<OpCase> cases;
  for (const DropoutShape& s : kShapes)
    for (const float probability : {0.0f, 0.3f, 0.9f})
      for (const bool accumulate : {false, true}) {
        // Numbers up to 10 with three roundings; accumulated they may cancel.
        const Tolerance tolerance = accumulate ? tolerance::cancelling(4, 12) : tolerance::elementwise(4);
        const Operand out =
            accumulate ? acc("out", {s.m, s.k}, tolerance) : set("out", {s.m, s.k}, tolerance);
        cases.push_back({text("M=", s.m, " K=", s.k, " p=", probability, accumulate ? " acc" : ""),
                         {out.rows(), input("x", {s.m, s.k}).rows(),
                          input("keys", {s.m, 2}, -1e9, 1e9).as(DType::kI32).rows()},
                         [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                           ops.dropout(context, v[0], v[1], v[2], {probability, 5}, accumulate);
                           return std::vector<double>{};
                         }});
      }
  return cases;
}

std::vector<OpCase> scale_cases() {
  std::vector<OpCase> cases;
  for (const DropoutShape& s : kShapes)
    cases.push_back({text("M=", s.m, " K=", s.k),
                     {acc("x", {s.m, s.k}, tolerance::elementwise(1)).rows().any_rows().any_cols()},
                     [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                       ops.scale(context, v[0], -0.7f);
                       return std::vector<double>{};
                     }});
  return cases;
}

const Registration registered([] {
  add_op_tests("dropout", dropout_cases);
  add_op_tests("scale", scale_cases);
});

struct Dropped {
  int64_t zeros = 0;
  double sum = 0;
  std::vector<float> values;
};

// Of ones, 40 rows of 1000 with different keys.
Dropped drop_ones(float probability, uint32_t stream) {
  ThreadPool pool(1);
  Context context{pool};
  std::vector<float> x(40000, 1.0f);
  Dropped result;
  result.values.resize(x.size());
  std::vector<int32_t> keys(80);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = static_cast<int32_t>(i / 2 * 977 - i % 2);
  reference_ops().dropout(context, View(result.values.data(), DType::kF32, {40, 1000}),
                          View(x.data(), DType::kF32, {40, 1000}), View(keys.data(), DType::kI32, {40, 2}),
                          {probability, stream}, false);
  for (const float value : result.values) {
    result.zeros += value == 0;
    result.sum += static_cast<double>(value);
  }
  return result;
}

}  // namespace

// Of 40,000 draws with p = 0.25, 10,000 are expected to drop, with a standard deviation of 87.
TEST("ops/reference/dropout drops its share and keeps the mean") {
  const Dropped dropped = drop_ones(0.25f, 1);
  EXPECT(std::abs(dropped.zeros - 10000) < 500, dropped.zeros);
  for (const float value : dropped.values) EXPECT(value == 0 || std::fabs(value - 4.0f / 3) < 1e-6f, value);
  EXPECT(std::abs(dropped.sum / 40000 - 1) < 0.02, dropped.sum);
  EXPECT(drop_ones(0, 1).zeros == 0, "nothing is dropped with probability 0");
}

TEST("ops/reference/dropout of another stream is another one") {
  const Dropped one = drop_ones(0.5f, 1), again = drop_ones(0.5f, 1), other = drop_ones(0.5f, 2);
  EXPECT(one.values == again.values, "the same draws");
  int64_t same = 0;
  for (size_t i = 0; i < one.values.size(); ++i) same += one.values[i] == other.values[i];
  EXPECT(std::abs(same - 20000) < 600, "half of the entries agree by chance: ", same);
}

TEST("ops/reference/dropout by hand") {
  ThreadPool pool(1);
  Context context{pool};
  float x[] = {1, 2, 3, 4, 5}, out[] = {10, 10, 10, 10, 10};
  int32_t keys[] = {7, -3};
  const uint64_t key = 0xfffffffd00000007ull;
  reference_ops().dropout(context, View(out, DType::kF32, {1, 5}), View(x, DType::kF32, {1, 5}),
                          View(keys, DType::kI32, {1, 2}), {0.5f, 9}, true);
  for (int k = 0; k < 5; ++k) {
    const auto bits = philox4x32(key, {static_cast<uint32_t>(k / 4), 9, 0, 0xd409});
    const float expected = (bits[static_cast<size_t>(k % 4)] >> 31) == 0 ? 10 : 10 + 2 * x[k];
    EXPECT(out[k] == expected, "entry ", k, " is ", out[k], ", not ", expected);
  }
}

}  // namespace winnow::test
