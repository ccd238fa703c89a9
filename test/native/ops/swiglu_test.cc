// SwiGLU.
#include "op_test.h"
#include "ops/gradient.h"

namespace winnow::test {
namespace {

struct SwigluShape {
  int64_t m, f;
  double range;
};
// The last ranges overflow exp in f32.
constexpr SwigluShape kShapes[] = {{0, 8, 4},    {1, 1, 4},    {3, 17, 4},   {9, 64, 10},
                                   {40, 33, 10}, {3, 96, 100}, {5, 31, 1000}};

std::vector<OpCase> forward_cases() {
  std::vector<OpCase> cases;
  for (const SwigluShape& s : kShapes)
    // exp of the gate, one more addition, a division, two products; below 1e-30 only smallness counts.
    cases.push_back({text("forward M=", s.m, " F=", s.f, " range ", s.range),
                     {set("out", {s.m, s.f}, tolerance::elementwise(10, 1e-30)).rows(),
                      input("gate", {s.m, s.f}, -s.range, s.range).rows(), input("up", {s.m, s.f}).rows()},
                     [](const Ops& ops, Context& context, const std::vector<View>& v) {
                       ops.swiglu_forward(context, v[0], v[1], v[2]);
                       return std::vector<double>{};
                     }});
  return cases;
}

std::vector<OpCase> backward_cases() {
  std::vector<OpCase> cases;
  for (const SwigluShape& s : kShapes)
    // s (1 + g (1 - s)) is at most 1.1 for g > 0 and cancels near its zero g = -1.28, where g s < 0.3.
    cases.push_back(
        {text("backward M=", s.m, " F=", s.f, " range ", s.range),
         {set("dgate", {s.m, s.f}, tolerance::cancelling(16, 1)).rows(),
          set("dup", {s.m, s.f}, tolerance::elementwise(10, 1e-30)).rows(), input("dout", {s.m, s.f}).rows(),
          input("gate", {s.m, s.f}, -s.range, s.range).rows(), input("up", {s.m, s.f}).rows()},
         [](const Ops& ops, Context& context, const std::vector<View>& v) {
           ops.swiglu_backward(context, v[0], v[1], v[2], v[3], v[4]);
           return std::vector<double>{};
         }});
  return cases;
}

// dgate may alias gate, dup may alias up.
void check_alias(const Ops& ops) {
  ThreadPool pool(2);
  Context context{pool};
  Array gate = grid_array("gate", {3, 37}, -4, 4), up = grid_array("up", {3, 37});
  Array dout = grid_array("dout", {3, 37}), dgate = zero_array({3, 37}), dup = zero_array({3, 37});
  ops.swiglu_backward(context, dgate.view(), dup.view(), dout.view(), gate.view(), up.view());
  ops.swiglu_backward(context, gate.view(), up.view(), dout.view(), gate.view(), up.view());
  check_same_bits("dgate in place of gate", gate, dgate);
  check_same_bits("dup in place of up", up, dup);
}

const Registration registered([] {
  add_op_tests("swiglu_forward", forward_cases);
  add_op_tests("swiglu_backward", backward_cases);
  add_backend_tests("swiglu_backward alias", [](const Ops& ops) {
    if (std::string(ops.name) != "cuda") check_alias(ops);  // host arrays
  });
});

}  // namespace

TEST("ops/reference/swiglu gradient") {
  const Ops& ops = reference_ops();
  ThreadPool pool(1);
  Context context{pool};
  Array gate = grid_array("gate", {3, 7}, -4, 4), up = grid_array("up", {3, 7});
  Array dout = grid_array("dout", {3, 7}), out = zero_array({3, 7});
  Array dgate = zero_array({3, 7}), dup = zero_array({3, 7});
  const auto loss = [&] {
    ops.swiglu_forward(context, out.view(), gate.view(), up.view());
    return weighted_sum(dout, out);
  };
  ops.swiglu_backward(context, dgate.view(), dup.view(), dout.view(), gate.view(), up.view());
  check_finite_differences("dgate", gate, dgate, kStep, kGradientTolerance, loss);
  check_finite_differences("dup", up, dup, kStep, kGradientTolerance, loss);
}

TEST("ops/reference/swiglu by hand") {
  ThreadPool pool(1);
  Context context{pool};
  float gate[] = {0, 1, -2}, up[] = {5, 2, 3}, out[3] = {};
  reference_ops().swiglu_forward(context, View(out, DType::kF32, {1, 3}), View(gate, DType::kF32, {1, 3}),
                                 View(up, DType::kF32, {1, 3}));
  // silu(1) = 0.7310585786, silu(-2) = -0.2384058440
  const float expected[] = {0, 1.46211716f, -0.71521753f};
  for (int i = 0; i < 3; ++i) EXPECT(std::fabs(out[i] - expected[i]) < 2e-7f, "element ", i, " is ", out[i]);
}

}  // namespace winnow::test
