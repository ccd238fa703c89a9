// Gradients of products that read the same rows, in one call.
#include "op_test.h"
#include "ops/gradient.h"

namespace winnow::test {
namespace {

struct ProductsShape {
  int64_t m, k;
  std::vector<int64_t> n;  // of each product
};
// Odd numbers of rows and columns, fewer and more than a panel, a tile and a block of the reduction.
const ProductsShape kShapes[] = {
    {0, 4, {6, 3}}, {1, 1, {1}},         {1, 17, {33, 2}},      {2, 16, {32}},         {3, 40, {7, 1, 16}},
    {31, 5, {50}},  {33, 48, {100, 14}}, {70, 33, {129, 5, 5}}, {600, 20, {40, 8, 8}}, {40, 36, {1100}}};

struct BackwardCall {
  ProductsShape shape;
  DType dtype;
  bool trains, separate;

  std::vector<Operand> operands() const {
    const auto& [m, k, n] = shape;
    int64_t terms = 0;
    for (const int64_t outputs : n) terms += outputs;
    const double start = static_cast<double>(n.size());
    std::vector<Operand> all = {set("dx", {m, k}, tolerance::dot(terms, 1, 1, start)).rows(),
                                input("x", {m, k}).rows()};
    for (const int64_t outputs : n) all.push_back(input("dout", {m, outputs}).rows());
    for (const int64_t outputs : n) all.push_back(input("weight", {outputs, k}));
    for (size_t i = 0; i < n.size(); ++i)
      if (has_gradient(i)) all.push_back(acc("weight gradient", {n[i], k}, tolerance::dot(m, 1, 1, 1)));
    return all;
  }

  // The second product is frozen.
  bool has_gradient(size_t i) const { return trains && i != 1; }

  std::vector<double> operator()(const Ops& ops, Context& context, const std::vector<View>& v) const {
    const size_t count = shape.n.size();
    std::vector<std::unique_ptr<GuardedWeight>> weights;
    std::vector<LinearGradient> gradients;
    auto dweight = v.begin() + static_cast<std::ptrdiff_t>(2 + 2 * count);
    for (size_t i = 0; i < count; ++i) {
      weights.push_back(
          std::make_unique<GuardedWeight>(ops, context, v[2 + count + i], shape.n[i], shape.k, dtype));
      gradients.push_back({v[2 + i], weights.back()->get(), has_gradient(i) ? *dweight++ : View{}});
    }
    if (separate) {
      for (size_t i = 0; i < count; ++i) {
        const LinearGradient& one = gradients[i];
        ops.linear_backward_input(context, v[0], one.dout, one.weight, i > 0);
        if (one.dweight) ops.linear_backward_weight(context, one.dweight, one.dout, v[1], dtype);
      }
    } else {
      ops.linear_backward(context, v[0], gradients, v[1]);
    }
    for (const auto& weight : weights) weight->check_guard();
    return {};
  }

  OpCase op_case() const {
    return {text("M=", shape.m, " K=", shape.k, " N=", shape.n.front(), " of ", shape.n.size(), " ",
                 name(dtype), trains ? " trains" : ""),
            operands(), *this, !trains};
  }
};

std::vector<OpCase> op_cases(bool separate) {
  std::vector<OpCase> all;
  for (const ProductsShape& shape : kShapes)
    for (const DType dtype : {DType::kF32, DType::kBF16})
      for (const bool trains : {true, false})
        all.push_back(BackwardCall{shape, dtype, trains, separate}.op_case());
  return all;
}

void check_same_bits_as_parts(const Ops& ops) {
  ThreadPool pool(2);
  const std::vector<OpCase> together = op_cases(false), apart = op_cases(true);
  for (size_t i = 0; i < together.size(); ++i) {
    const std::vector<Array> arrays = make_arrays(together[i]);
    const Outcome got = run_case(ops, pool, together[i], arrays),
                  expected = run_case(ops, pool, apart[i], arrays);
    for (size_t at = 0; at < arrays.size(); ++at)
      check_same_bits(text(together[i].operands[at].name, " of ", together[i].label), got.arrays[at],
                      expected.arrays[at]);
  }
}

void check_refusals(const Ops& ops) {
  ThreadPool pool(1);
  Context context{pool};
  Array host = grid_array("x", {2, 4}), narrow = grid_array("dout", {2, 2});
  const Placed x(ops, context, host.view()), dx(ops, context, host.view());
  const GuardedWeight wide(ops, context, x.view(), 2, 4, DType::kBF16),
      other(ops, context, x.view(), 2, 4, DType::kF32);
  const auto refuse = [&](const std::vector<LinearGradient>& gradients) {
    expect_error("ERR_SHAPE", [&] { ops.linear_backward(context, dx.view(), gradients, x.view()); });
  };
  refuse({});
  refuse({{x.view(), wide.get(), View{}}});  // dout has four columns, not two
  const Placed dout(ops, context, narrow.view());
  refuse({{dout.view(), wide.get(), View{}}, {dout.view(), other.get(), View{}}});
  refuse({{dout.view(), wide.get(), dout.view()}});
}

const Registration registered([] {
  add_op_tests("linear_backward", [] { return op_cases(false); });
  add_backend_tests("linear_backward has the bits of its parts", check_same_bits_as_parts);
  add_backend_tests("linear_backward refuses", check_refusals);
});

}  // namespace
}  // namespace winnow::test
