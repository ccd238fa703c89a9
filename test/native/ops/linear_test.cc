// Linear layers: forward, both gradients, bias.
#include <cmath>
#include <utility>

#include "op_test.h"
#include "ops/gradient.h"

namespace winnow::test {
namespace {

struct LinearShape {
  int64_t m, n, k;
};
constexpr LinearShape kShapes[] = {{0, 5, 3},    {1, 1, 1},      {1, 17, 33},    {2, 16, 16},
                                   {3, 5, 1},    {5, 1, 7},      {7, 31, 40},    {8, 48, 64},
                                   {33, 50, 19}, {64, 96, 96},   {131, 70, 37},  {4, 33, 300},
                                   {24, 40, 70}, {40, 34, 1100}, {40, 1100, 34}, {1100, 34, 40}};

std::string label(const char* op, LinearShape s, DType dtype, const char* more = "") {
  return text(op, " M=", s.m, " N=", s.n, " K=", s.k, " ", name(dtype), more);
}

std::vector<OpCase> forward_cases() {
  std::vector<OpCase> cases;
  for (const LinearShape& s : kShapes)
    for (const DType dtype : {DType::kF32, DType::kBF16})
      for (const bool accumulate : {false, true})
        for (const bool biased : {false, true}) {
          const Tolerance tolerance = tolerance::dot(s.k, 1, 1, 2);
          Operand out = accumulate ? acc("out", {s.m, s.n}, tolerance) : set("out", {s.m, s.n}, tolerance);
          std::vector<Operand> operands = {
              out.rows(), input("x", {s.m, s.k}).rows(),
              input("weight", {s.n, s.k}).as(biased ? DType::kBF16 : DType::kF32)};
          if (biased) operands.push_back(input("bias", {s.n}));
          cases.push_back({label("forward", s, dtype,
                                 accumulate ? (biased ? " acc bias" : " acc")
                                 : biased   ? " bias"
                                            : ""),
                           operands, [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                             const GuardedWeight weight(ops, context, v[2], s.n, s.k, dtype);
                             ops.linear_forward(context, v[0], v[1], weight.get(), biased ? v[3] : View{},
                                                accumulate);
                             weight.check_guard();
                             return std::vector<double>{};
                           }});
        }
  return cases;
}

std::vector<OpCase> backward_input_cases() {
  std::vector<OpCase> cases;
  for (const LinearShape& s : kShapes)
    for (const DType dtype : {DType::kF32, DType::kBF16})
      for (const bool accumulate : {false, true}) {
        const Tolerance tolerance = tolerance::dot(s.n, 1, 1, 1);
        const Operand dx = accumulate ? acc("dx", {s.m, s.k}, tolerance) : set("dx", {s.m, s.k}, tolerance);
        cases.push_back(
            {label("backward_input", s, dtype, accumulate ? " acc" : ""),
             {dx.rows(), input("dout", {s.m, s.n}).rows(), input("weight", {s.n, s.k}).as(DType::kF16)},
             [=](const Ops& ops, Context& context, const std::vector<View>& v) {
               const GuardedWeight weight(ops, context, v[2], s.n, s.k, dtype);
               ops.linear_backward_input(context, v[0], v[1], weight.get(), accumulate);
               weight.check_guard();
               return std::vector<double>{};
             }});
      }
  return cases;
}

std::vector<OpCase> backward_weight_cases() {
  std::vector<OpCase> cases;
  for (const LinearShape& s : kShapes)
    for (const DType dtype : {DType::kF32, DType::kBF16})
      cases.push_back({label("backward_weight", s, dtype),
                       {acc("dweight", {s.n, s.k}, tolerance::dot(s.m, 1, 1, 1)),
                        input("dout", {s.m, s.n}).rows(), input("x", {s.m, s.k}).rows()},
                       [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                         ops.linear_backward_weight(context, v[0], v[1], v[2], dtype);
                         return std::vector<double>{};
                       }});
  return cases;
}

std::vector<OpCase> bias_backward_cases() {
  std::vector<OpCase> cases;
  for (const LinearShape& s : kShapes)
    cases.push_back(
        {label("bias_backward", s, DType::kF32),
         {acc("dbias", {s.n}, tolerance::dot(s.m, 1, 1, 1)), input("dout", {s.m, s.n}).rows().any_rows()},
         [](const Ops& ops, Context& context, const std::vector<View>& v) {
           ops.bias_backward(context, v[0], v[1]);
           return std::vector<double>{};
         }});
  return cases;
}

Array waves(int64_t rows, int64_t columns, double frequency) {
  Array result = zero_array({rows, columns});
  for (int64_t i = 0; i < rows * columns; ++i) result.set_number(i, std::sin(frequency * double(i + 1)));
  return result;
}

// Rows in two calls, the first with a whole number of the terms that any processor adds at once.
void check_weight_gradient_in_two_calls(const Ops& ops) {
  constexpr int64_t kRows = 75, kFirst = 64, kN = 34, kK = 40;
  ThreadPool pool(2);
  Context context{pool};
  Array dout = waves(kRows, kN, 0.7), x = waves(kRows, kK, 1.3);
  const auto part = [](Array& of, int64_t columns, int64_t begin, int64_t end) {
    return View(reinterpret_cast<float*>(of.bytes.data()) + begin * columns, DType::kF32,
                {end - begin, columns});
  };
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    Array whole = zero_array({kN, kK}), split = whole;
    ops.linear_backward_weight(context, whole.view(), dout.view(), x.view(), dtype);
    for (const auto& [begin, end] : {std::pair{int64_t{0}, kFirst}, std::pair{kFirst, kRows}})
      ops.linear_backward_weight(context, split.view(), part(dout, kN, begin, end), part(x, kK, begin, end),
                                 dtype);
    check_same_bits(text("dweight of rows in two calls, ", name(dtype)), split, whole);
  }
}

const Registration registered([] {
  add_op_tests("linear_forward", forward_cases);
  add_op_tests("linear_backward_input", backward_input_cases);
  add_op_tests("linear_backward_weight", backward_weight_cases);
  add_op_tests("bias_backward", bias_backward_cases);
  add_backend_tests("linear_backward_weight in two calls", [](const Ops& ops) {
    const std::string name = ops.name;
    if (name != "cuda" && name != "reference") check_weight_gradient_in_two_calls(ops);  // host arrays
  });
});

}  // namespace

TEST("ops/reference/linear by hand") {
  const Ops& ops = reference_ops();
  ThreadPool pool(1);
  Context context{pool};
  // 1.00390625 = 1 + 2^-8 lies half way between two bf16 numbers and rounds to 1, as operand and as weight.
  float x[] = {1.00390625f, 2}, source[] = {3, 4, 1.00390625f, -1, 0, 0.5f}, bias[] = {10, 20, 30},
        out[3] = {};
  const View x_view(x, DType::kF32, {1, 2}), w_view(source, DType::kF32, {3, 2});
  const View b_view(bias, DType::kF32, {3}), out_view(out, DType::kF32, {1, 3});
  const GuardedWeight full(ops, context, w_view, 3, 2, DType::kF32);
  const GuardedWeight half(ops, context, w_view, 3, 2, DType::kBF16);
  ops.linear_forward(context, out_view, x_view, full.get(), View{}, false);
  EXPECT(out[0] == 11.01171875f && out[1] == 1.00390625f * 1.00390625f - 2 && out[2] == 1, out[0], " ",
         out[1]);
  ops.linear_forward(context, out_view, x_view, half.get(), b_view, false);
  EXPECT(out[0] == 21 && out[1] == 19 && out[2] == 31, out[0], " ", out[1], " ", out[2]);
  ops.linear_forward(context, out_view, x_view, half.get(), View{}, true);
  EXPECT(out[0] == 32 && out[1] == 18 && out[2] == 32, out[0], " ", out[1], " ", out[2]);
}

TEST("ops/reference/linear gradient") {
  const Ops& ops = reference_ops();
  ThreadPool pool(1);
  Context context{pool};
  Array x = grid_array("x", {3, 4}), w = grid_array("w", {5, 4}), bias = grid_array("b", {5});
  Array dout = grid_array("dout", {3, 5}), out = zero_array({3, 5});
  Array dx = zero_array({3, 4}), dw = zero_array({5, 4}), dbias = zero_array({5});
  const auto loss = [&] {
    const GuardedWeight weight(ops, context, w.view(), 5, 4, DType::kF32);
    ops.linear_forward(context, out.view(), x.view(), weight.get(), bias.view(), false);
    return weighted_sum(dout, out);
  };
  const GuardedWeight weight(ops, context, w.view(), 5, 4, DType::kF32);
  ops.linear_backward_input(context, dx.view(), dout.view(), weight.get(), false);
  ops.linear_backward_weight(context, dw.view(), dout.view(), x.view(), DType::kF32);
  ops.bias_backward(context, dbias.view(), dout.view());
  check_finite_differences("dx", x, dx, kStep, kGradientTolerance, loss);
  check_finite_differences("dweight", w, dw, kStep, kGradientTolerance, loss);
  check_finite_differences("dbias", bias, dbias, kStep, kGradientTolerance, loss);
}

}  // namespace winnow::test
