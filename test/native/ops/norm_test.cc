// RMS norm.
#include "op_test.h"
#include "ops/gradient.h"

namespace winnow::test {
namespace {

struct NormShape {
  int64_t m, d;
};
constexpr NormShape kShapes[] = {{0, 8}, {1, 1}, {3, 1}, {2, 16}, {5, 31}, {17, 128}, {70, 40}, {3, 1000}};
constexpr float kEpsilon = 1e-6f;

std::vector<OpCase> forward_cases() {
  std::vector<OpCase> cases;
  for (const NormShape& s : kShapes)
    for (const bool with_rstd : {true, false}) {
      // The sum of squares errs by positive_sum units, its root by half; then two products.
      const Tolerance tolerance = tolerance::elementwise(tolerance::positive_sum(s.d) / 2 + 6);
      std::vector<Operand> operands = {set("out", {s.m, s.d}, tolerance).rows(),
                                       input("x", {s.m, s.d}).away_from_zero(0.25).rows(),
                                       input("weight", {s.d})};
      if (with_rstd) operands.push_back(set("rstd", {s.m}, tolerance).rows());
      cases.push_back({text("forward M=", s.m, " D=", s.d, with_rstd ? "" : " without rstd"), operands,
                       [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                         ops.rms_norm_forward(context, v[0], with_rstd ? v[3] : View{}, v[1], v[2], kEpsilon);
                         return std::vector<double>{};
                       }});
    }
  return cases;
}

std::vector<OpCase> backward_cases() {
  std::vector<OpCase> cases;
  for (const NormShape& s : kShapes)
    for (const bool accumulate : {false, true}) {
      // |dx| <= rstd (|g| + |n| mean|g n|) <= 2 (1 + 2 * 2); its parts cancel.
      const Tolerance of_dx = tolerance::cancelling(tolerance::positive_sum(s.d) + 8, 10);
      const Operand dx = accumulate ? acc("dx", {s.m, s.d}, of_dx) : set("dx", {s.m, s.d}, of_dx);
      cases.push_back(
          {text("backward M=", s.m, " D=", s.d, accumulate ? " acc" : ""),
           {dx.rows(), acc("dweight", {s.d}, tolerance::dot(s.m, 1, 2, 1)), input("dout", {s.m, s.d}).rows(),
            input("x", {s.m, s.d}).rows(), input("rstd", {s.m}, 1, 2).rows(), input("weight", {s.d})},
           [=](const Ops& ops, Context& context, const std::vector<View>& v) {
             ops.rms_norm_backward(context, v[0], v[1], v[2], v[3], v[4], v[5], accumulate);
             return std::vector<double>{};
           }});
      cases.push_back({text("backward without dweight M=", s.m, " D=", s.d, accumulate ? " acc" : ""),
                       {dx.rows(), input("dout", {s.m, s.d}).rows(), input("x", {s.m, s.d}).rows(),
                        input("rstd", {s.m}, 1, 2).rows(), input("weight", {s.d})},
                       [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                         ops.rms_norm_backward(context, v[0], View{}, v[1], v[2], v[3], v[4], accumulate);
                         return std::vector<double>{};
                       }});
    }
  return cases;
}

// dx may alias dout when it is set.
void check_alias(const Ops& ops) {
  ThreadPool pool(2);
  Context context{pool};
  Array x = grid_array("x", {5, 37}), weight = grid_array("w", {37}), dout = grid_array("dout", {5, 37});
  Array rstd = grid_array("rstd", {5}, 1, 2), dx = zero_array({5, 37}), dweight = zero_array({37});
  ops.rms_norm_backward(context, dx.view(), dweight.view(), dout.view(), x.view(), rstd.view(), weight.view(),
                        false);
  Array in_place = dout, dweight2 = zero_array({37});
  ops.rms_norm_backward(context, in_place.view(), dweight2.view(), in_place.view(), x.view(), rstd.view(),
                        weight.view(), false);
  check_same_bits("dx in place of dout", in_place, dx);
  check_same_bits("dweight beside dx in place of dout", dweight2, dweight);
}

const Registration registered([] {
  add_op_tests("rms_norm_forward", forward_cases);
  add_op_tests("rms_norm_backward", backward_cases);
  add_backend_tests("rms_norm_backward alias", [](const Ops& ops) {
    if (std::string(ops.name) != "cuda") check_alias(ops);  // host arrays
  });
});

}  // namespace

TEST("ops/reference/rms_norm gradient") {
  const Ops& ops = reference_ops();
  ThreadPool pool(1);
  Context context{pool};
  Array x = grid_array("x", {3, 7}), weight = grid_array("w", {7}), dout = grid_array("dout", {3, 7});
  Array out = zero_array({3, 7}), rstd = zero_array({3}), dx = zero_array({3, 7}), dweight = zero_array({7});
  const auto loss = [&] {
    ops.rms_norm_forward(context, out.view(), rstd.view(), x.view(), weight.view(), 1e-2f);
    return weighted_sum(dout, out);
  };
  loss();
  ops.rms_norm_backward(context, dx.view(), dweight.view(), dout.view(), x.view(), rstd.view(), weight.view(),
                        false);
  check_finite_differences("dx", x, dx, kStep, kGradientTolerance, loss);
  check_finite_differences("dweight", weight, dweight, kStep, kGradientTolerance, loss);
  dx.set_number(4, dx.number(4) + 1e-3);
  expect_failure("a wrong dx",
                 [&] { check_finite_differences("dx", x, dx, kStep, kGradientTolerance, loss); });
}

TEST("ops/reference/rms_norm by hand") {
  ThreadPool pool(1);
  Context context{pool};
  float x[] = {3, 4}, weight[] = {1, 2}, out[2] = {}, rstd[1] = {};
  reference_ops().rms_norm_forward(context, View(out, DType::kF32, {1, 2}), View(rstd, DType::kF32, {1}),
                                   View(x, DType::kF32, {1, 2}), View(weight, DType::kF32, {2}), 0.0f);
  // mean of squares 12.5, so r = 0.28284271
  EXPECT(std::fabs(rstd[0] - 0.28284271f) < 1e-7f, rstd[0]);
  EXPECT(std::fabs(out[0] - 0.84852814f) < 2e-7f && std::fabs(out[1] - 2.2627417f) < 4e-7f, out[0], " ",
         out[1]);
}

}  // namespace winnow::test
