// The op tests must be able to fail: backends with one planted fault each.
#include <cmath>
#include <cstring>

#include "op_test.h"

namespace winnow::test {
namespace {

OpCase swiglu_case() {
  return {"swiglu M=9 F=64",
          {set("out", {9, 64}, tolerance::elementwise(10)).rows(), input("gate", {9, 64}).rows(),
           input("up", {9, 64}).rows()},
          [](const Ops& ops, Context& context, const std::vector<View>& v) {
            ops.swiglu_forward(context, v[0], v[1], v[2]);
            return std::vector<double>{};
          }};
}

using Swiglu = void (*)(Context&, View, View, View);
Ops faulty(Swiglu swiglu) {
  Ops ops = reference_ops();
  ops.swiglu_forward = swiglu;
  return ops;
}
void correct(Context& context, View out, View gate, View up) {
  reference_ops().swiglu_forward(context, out, gate, up);
}
float up_one_ulp(float value) { return std::nextafter(value, 1e30f); }

void expect_caught(const char* fault, void (*check)(const Ops&, const OpCase&), Swiglu swiglu) {
  const Ops ops = faulty(swiglu);
  expect_failure(fault, [&] { check(ops, swiglu_case()); });
}

}  // namespace

TEST("ops/harness/a correct backend passes") {
  const Ops ops = faulty(correct);
  check_values(ops, swiglu_case());
  check_row_independence(ops, swiglu_case());
  check_thread_independence(ops, swiglu_case());
  check_shape_errors(ops, swiglu_case());
}

TEST("ops/harness/wrong values are caught") {
  expect_caught("one element wrong in the fifth digit", check_values,
                [](Context& c, View out, View gate, View up) {
                  correct(c, out, gate, up);
                  out.f32()[100] *= 1.00001f;
                });
  expect_caught("the last element not written", check_values, [](Context& c, View out, View gate, View up) {
    const float before = out.f32()[out.size() - 1];
    correct(c, out, gate, up);
    out.f32()[out.size() - 1] = before;
  });
}

TEST("ops/harness/stray writes are caught") {
  expect_caught("past the end of an output", check_values, [](Context& c, View out, View gate, View up) {
    correct(c, out, gate, up);
    out.f32()[out.size()] = 0;
  });
  expect_caught("before the begin of an input", check_values, [](Context& c, View out, View gate, View up) {
    correct(c, out, gate, up);
    gate.f32()[-1] = 0;
  });
  expect_caught("into an input", check_values, [](Context& c, View out, View gate, View up) {
    correct(c, out, gate, up);
    up.f32()[3] = 0;
  });
}

TEST("ops/harness/dependence on the batch or the threads is caught") {
  expect_caught("one ulp more in batches", check_row_independence,
                [](Context& c, View out, View gate, View up) {
                  correct(c, out, gate, up);
                  if (out.rows() > 1) out.f32()[out.size() - 1] = up_one_ulp(out.f32()[out.size() - 1]);
                });
  expect_caught("one ulp more from the row before", check_row_independence,
                [](Context& c, View out, View gate, View up) {
                  correct(c, out, gate, up);
                  for (int64_t m = 1; m < out.rows(); ++m)
                    if (gate.f32()[(m - 1) * 64] > 0) out.f32()[m * 64] = up_one_ulp(out.f32()[m * 64]);
                });
  expect_caught("one ulp more on three threads", check_thread_independence,
                [](Context& c, View out, View gate, View up) {
                  correct(c, out, gate, up);
                  if (c.pool.threads() == 3) out.f32()[7] = up_one_ulp(out.f32()[7]);
                });
}

TEST("ops/harness/missing and late shape checks are caught") {
  expect_caught("no check", check_shape_errors, [](Context&, View, View, View) {});
  expect_caught("writes before it checks", check_shape_errors, [](Context& c, View out, View gate, View up) {
    if (out.dtype == DType::kF32) out.f32()[0] = 0;
    correct(c, out, gate, up);
  });
}

TEST("ops/harness/a small systematic error is caught by the mean square") {
  // Each element is within the element bound of a chain of 4096 products, all are biased.
  const Tolerance tolerance = tolerance::dot(4096, 1, 1);
  Array exact{DType::kF32, {1000}, std::vector<std::byte>(4000)};
  Random random("numbers");
  for (int64_t i = 0; i < 1000; ++i) exact.set_number(i, random.uniform(-40, 40));
  Array biased = exact;
  for (int64_t i = 0; i < 1000; ++i) biased.set_number(i, exact.number(i) + 0.02 * tolerance.absolute);
  check_close("exact", exact, exact, tolerance);
  expect_failure("a bias of a fiftieth of the element bound", [&] {
    check_close("biased", biased, exact, {tolerance.absolute, tolerance.relative, 1e-13});
  });
}

}  // namespace winnow::test
