// The gradient of a feed-forward block in one call.
#include "op_test.h"

namespace winnow::test {
namespace {

struct BlockShape {
  int64_t m, width, inner;
};
// Odd numbers of rows and columns, fewer and more than a panel, a tile and a block of the reduction.
const BlockShape kShapes[] = {{0, 4, 6},   {1, 1, 1},     {1, 17, 33},   {2, 16, 32},  {3, 40, 7},
                              {31, 5, 50}, {33, 48, 100}, {70, 33, 129}, {600, 20, 40}};

// A copy of an operand that the call overwrites.
class Overwritten {
 public:
  Overwritten(const Ops& ops, Context& context, const View& from)
      : host_{from.dtype, {from.rows(), from.cols()}, std::vector<std::byte>(from.size_bytes())},
        placed_(ops, context, host_.view()) {
    if (!host_.bytes.empty()) ops.copy(context, placed_.view().data, from.data, from.size_bytes());
  }
  const View& view() const { return placed_.view(); }

 private:
  Array host_;
  Placed placed_;
};

struct BlockCall {
  BlockShape shape;
  DType dtype;
  bool trains, separate;

  std::vector<Operand> operands() const {
    const auto [m, width, inner] = shape;
    // A term that rounds to another neighbour moves a sum by a step of bf16; the bits are compared below.
    const double step = dtype == DType::kBF16 ? 0x1p-6 : 0x1p-19, nmse = dtype == DType::kBF16 ? 1e-4 : 1e-10;
    const auto tolerance = [&](int64_t terms) {
      return Tolerance{4 * static_cast<double>(terms) * step, 0, nmse};
    };
    std::vector<Operand> all = {set("dnormed", {m, width}, tolerance(2 * inner * width)).rows(),
                                input("dout", {m, width}).rows(),
                                input("normed", {m, width}).rows(),
                                input("gate", {m, inner}, -4, 4).rows(),
                                input("up", {m, inner}).rows(),
                                input("gate weight", {inner, width}),
                                input("up weight", {inner, width}),
                                input("down weight", {width, inner})};
    if (trains) {
      all.push_back(acc("gate gradient", {inner, width}, tolerance(m * width)));
      all.push_back(acc("up gradient", {inner, width}, tolerance(m * width)));
      all.push_back(acc("down gradient", {width, inner}, tolerance(m)));
    }
    return all;
  }

  std::vector<double> operator()(const Ops& ops, Context& context, const std::vector<View>& v) const {
    const auto [m, width, inner] = shape;
    const Overwritten gate(ops, context, v[3]), up(ops, context, v[4]), activated(ops, context, v[3]),
        dactivated(ops, context, v[3]);
    const GuardedWeight gate_weight(ops, context, v[5], inner, width, dtype),
        up_weight(ops, context, v[6], inner, width, dtype),
        down_weight(ops, context, v[7], width, inner, dtype);
    const FeedForwardGradients dweights =
        trains ? FeedForwardGradients{v[8], v[9], v[10]} : FeedForwardGradients{};
    if (separate) {
      ops.swiglu_forward(context, activated.view(), gate.view(), up.view());
      ops.linear_backward_input(context, dactivated.view(), v[1], down_weight.get(), false);
      if (trains) ops.linear_backward_weight(context, dweights.down, v[1], activated.view(), dtype);
      ops.swiglu_backward(context, gate.view(), up.view(), dactivated.view(), gate.view(), up.view());
      if (trains) ops.linear_backward_weight(context, dweights.gate, gate.view(), v[2], dtype);
      if (trains) ops.linear_backward_weight(context, dweights.up, up.view(), v[2], dtype);
      ops.linear_backward_input(context, v[0], gate.view(), gate_weight.get(), false);
      ops.linear_backward_input(context, v[0], up.view(), up_weight.get(), true);
    } else {
      const FeedForwardWeights weights{View{}, 0, gate_weight.get(), up_weight.get(), down_weight.get()};
      ops.feed_forward_backward(context, v[0], dweights, v[1], v[2], gate.view(), up.view(), weights,
                                activated.view(), dactivated.view());
    }
    for (const GuardedWeight* weight : {&gate_weight, &up_weight, &down_weight}) weight->check_guard();
    return {};
  }

  OpCase op_case() const {
    return {text("M=", shape.m, " D=", shape.width, " F=", shape.inner, " ", name(dtype),
                 trains ? " trains" : ""),
            operands(), *this, !trains};
  }
};

std::vector<OpCase> op_cases(bool separate) {
  std::vector<OpCase> all;
  for (const BlockShape& shape : kShapes)
    for (const DType dtype : {DType::kF32, DType::kBF16})
      for (const bool trains : {true, false})
        all.push_back(BlockCall{shape, dtype, trains, separate}.op_case());
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

const Registration registered([] {
  add_op_tests("feed_forward_backward", [] { return op_cases(false); });
  add_backend_tests("feed_forward_backward has the bits of its parts", check_same_bits_as_parts);
});

}  // namespace
}  // namespace winnow::test
