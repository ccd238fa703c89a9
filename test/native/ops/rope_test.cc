// Rotary embedding.
#include "op_test.h"
#include "ops/gradient.h"

namespace winnow::test {
namespace {

struct RopeShape {
  int64_t m, heads, head_dim;
};
constexpr RopeShape kShapes[] = {{0, 2, 8}, {1, 1, 2}, {3, 2, 6}, {5, 3, 32}, {33, 4, 64}, {7, 2, 130}};

std::vector<OpCase> cases() {
  std::vector<OpCase> all;
  for (const RopeShape& s : kShapes)
    for (const bool inverse : {false, true})
      // Two rounded products of numbers up to 1 that may cancel.
      all.push_back(
          {text("M=", s.m, " H=", s.heads, " Dh=", s.head_dim, inverse ? " inverse" : ""),
           {acc("x", {s.m, s.heads, s.head_dim}, tolerance::cancelling(3, 2)).rows(),
            input("cosine", {s.m, s.head_dim / 2}).rows(), input("sine", {s.m, s.head_dim / 2}).rows()},
           [=](const Ops& ops, Context& context, const std::vector<View>& v) {
             ops.rope(context, v[0], v[1], v[2], inverse);
             return std::vector<double>{};
           }});
  return all;
}

const Registration registered([] { add_op_tests("rope", cases); });

}  // namespace

TEST("ops/reference/rope by hand") {
  ThreadPool pool(1);
  Context context{pool};
  float x[] = {1, 2, 3, 4}, cosine[] = {0, 0.6f}, sine[] = {1, 0.8f};
  const View view(x, DType::kF32, {1, 1, 4}), c(cosine, DType::kF32, {1, 2}), s(sine, DType::kF32, {1, 2});
  reference_ops().rope(context, view, c, s, false);
  // Pairs (1, 3) by a right angle and (2, 4) by acos(0.6).
  const float expected[] = {-3, -2, 1, 4};
  for (int i = 0; i < 4; ++i) EXPECT(std::fabs(x[i] - expected[i]) < 1e-6f, "element ", i, " is ", x[i]);
  reference_ops().rope(context, view, c, s, true);
  for (int i = 0; i < 4; ++i)
    EXPECT(std::fabs(x[i] - static_cast<float>(i + 1)) < 1e-6f, "turned back: ", x[i]);
}

TEST("ops/reference/rope gradient") {
  const Ops& ops = reference_ops();
  ThreadPool pool(1);
  Context context{pool};
  Array x = grid_array("x", {2, 2, 6}), dx = grid_array("dout", {2, 2, 6});
  const Array dout = dx;
  Array cosine = zero_array({2, 3}), sine = zero_array({2, 3});
  for (int i = 0; i < 6; ++i) {
    cosine.set_number(i, std::cos(0.7 * i));
    sine.set_number(i, std::sin(0.7 * i));
  }
  ops.rope(context, dx.view(), cosine.view(), sine.view(), true);
  check_finite_differences("dx", x, dx, kStep, kGradientTolerance, [&] {
    Array turned = x;
    ops.rope(context, turned.view(), cosine.view(), sine.view(), false);
    return weighted_sum(dout, turned);
  });
}

}  // namespace winnow::test
