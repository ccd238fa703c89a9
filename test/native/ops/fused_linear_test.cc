// Products in one pass with the norm or the feed-forward that they read.
#include "op_test.h"

namespace winnow::test {
namespace {

constexpr float kEpsilon = 1e-6f;
constexpr double kLargest = 4;  // of what the products read

struct FusedShape {
  int64_t m, k;
  std::vector<int64_t> outputs;
};
// One product and several, narrower than a panel and wider, few rows and many, enough work for all threads.
const FusedShape kShapes[] = {{0, 5, {3}},          {1, 1, {1, 1}},   {1, 33, {17, 5, 40}},
                              {2, 16, {16, 1, 48}}, {5, 31, {50, 7}}, {7, 40, {31, 16}},
                              {9, 300, {33, 1, 2}}, {33, 19, {5}},    {70, 257, {96, 17, 9}},
                              {40, 600, {70}},      {300, 20, {40}}};

struct FusedCase {
  FusedShape shape;
  DType dtype;
  bool keep, extra;  // extra: rstd and biases, or accumulate
  std::string label(const char* op, const char* extras) const {
    std::string widths;
    for (const int64_t n : shape.outputs) widths += text(" N=", n);
    return text(op, " M=", shape.m, " K=", shape.k, widths, " ", name(dtype), keep ? " keep" : "",
                extra ? extras : "");
  }
};

std::vector<FusedCase> fused_cases() {
  std::vector<FusedCase> cases;
  for (const FusedShape& shape : kShapes)
    for (const DType dtype : {DType::kF32, DType::kBF16})
      for (const bool keep : {true, false})
        for (const bool extra : {true, false}) cases.push_back({shape, dtype, keep, extra});
  return cases;
}

// Of a product whose terms are rounded after a computation that errs by a few units itself: next to a tie a
// term may round to either neighbour, a step of bf16 apart. More than four of a row do not.
Tolerance product_tolerance(int64_t k, DType dtype) {
  Tolerance tolerance = tolerance::dot(k, kLargest, 1, 2);
  tolerance.absolute += 16 * tolerance::kUnit * tolerance::absolute_dot(k, kLargest, 1);
  tolerance.nmse += 1e-10;
  if (dtype == DType::kBF16) {
    tolerance.absolute += 4 * 0x1p-8 * kLargest;
    tolerance.nmse += 1e-5;
  }
  return tolerance;
}

// What a call works with where the result is not wanted.
class WorkingRows {
 public:
  WorkingRows(const Ops& ops, Context& context, int64_t rows, int64_t width)
      : host_{DType::kF32, {rows, width}, std::vector<std::byte>(static_cast<size_t>(rows * width * 4))},
        placed_(ops, context, host_.view()) {}
  const View& view() const { return placed_.view(); }

 private:
  Array host_;
  Placed placed_;
};

// ---- norm ---------------------------------------------------------------------------------------------

struct NormCall {
  FusedCase fused;
  bool separate;

  // x, norm weight, [normed], [rstd], then of each output: out, weight, [bias]
  std::vector<Operand> operands() const {
    const auto& [shape, dtype, keep, extra] = fused;
    const Tolerance of_norm = tolerance::elementwise(tolerance::positive_sum(shape.k) / 2 + 6);
    std::vector<Operand> all = {input("x", {shape.m, shape.k}).away_from_zero(0.25).rows(),
                                input("norm", {shape.k})};
    if (keep) all.push_back(set("normed", {shape.m, shape.k}, of_norm).rows());
    if (extra) all.push_back(set("rstd", {shape.m}, of_norm).rows());
    for (const int64_t n : shape.outputs) {
      all.push_back(set("out", {shape.m, n}, product_tolerance(shape.k, dtype)).rows());
      all.push_back(input("weight", {n, shape.k}));
      if (extra) all.push_back(input("bias", {n}));
    }
    return all;
  }

  std::vector<double> operator()(const Ops& ops, Context& context, const std::vector<View>& v) const {
    const auto& [shape, dtype, keep, extra] = fused;
    size_t at = 2;
    const WorkingRows working(ops, context, v[0].rows(), shape.k);
    const View normed = keep ? v[at++] : working.view(), rstd = extra ? v[at++] : View{};
    std::vector<std::unique_ptr<GuardedWeight>> weights;
    std::vector<LinearOutput> outputs;
    for (const int64_t n : shape.outputs) {
      const View out = v[at++];
      weights.push_back(std::make_unique<GuardedWeight>(ops, context, v[at++], n, shape.k, dtype));
      outputs.push_back({out, weights.back()->get(), extra ? v[at++] : View{}});
    }
    if (separate) {
      ops.rms_norm_forward(context, normed, rstd, v[0], v[1], kEpsilon);
      for (const LinearOutput& output : outputs)
        ops.linear_forward(context, output.out, normed, output.weight, output.bias, false);
    } else {
      ops.norm_linear_forward(context, outputs, normed, rstd, v[0], v[1], kEpsilon, keep);
    }
    for (const auto& weight : weights) weight->check_guard();
    return {};
  }

  OpCase op_case() const { return {fused.label("norm", " rstd bias"), operands(), *this}; }
};

// ---- feed-forward ---------------------------------------------------------------------------------------

struct SwigluCall {
  FusedCase fused;
  bool separate;

  std::vector<Operand> operands() const {
    const auto& [shape, dtype, keep, extra] = fused;
    const int64_t n = shape.outputs.front();
    const Tolerance tolerance = product_tolerance(shape.k, dtype);
    std::vector<Operand> all = {
        (extra ? acc("out", {shape.m, n}, tolerance) : set("out", {shape.m, n}, tolerance)).rows(),
        input("gate", {shape.m, shape.k}, -kLargest, kLargest).rows(), input("up", {shape.m, shape.k}).rows(),
        input("weight", {n, shape.k})};
    if (keep) all.push_back(set("activated", {shape.m, shape.k}, tolerance::elementwise(10, 1e-30)).rows());
    return all;
  }

  std::vector<double> operator()(const Ops& ops, Context& context, const std::vector<View>& v) const {
    const auto& [shape, dtype, keep, extra] = fused;
    const WorkingRows working(ops, context, v[0].rows(), shape.k);
    const View activated = keep ? v[4] : working.view();
    const GuardedWeight weight(ops, context, v[3], shape.outputs.front(), shape.k, dtype);
    if (separate) {
      ops.swiglu_forward(context, activated, v[1], v[2]);
      ops.linear_forward(context, v[0], activated, weight.get(), View{}, extra);
    } else {
      ops.swiglu_linear_forward(context, v[0], activated, v[1], v[2], weight.get(), extra, keep);
    }
    weight.check_guard();
    return {};
  }

  OpCase op_case() const { return {fused.label("swiglu", " acc"), operands(), *this}; }
};

// ---- a whole block --------------------------------------------------------------------------------------

// N is the inner width; `extra`: out is x.
struct BlockCall {
  FusedCase fused;
  bool separate;

  std::vector<Operand> operands() const {
    const auto& [shape, dtype, keep, extra] = fused;
    const int64_t inner = shape.outputs.front();
    // Whatever rounds to another neighbour on the way: what counts is that the parts have the same bits.
    const double largest = static_cast<double>(shape.k) * kLargest;
    const bool bf16 = dtype == DType::kBF16;
    const Tolerance tolerance{static_cast<double>(inner) * largest * largest * (bf16 ? 0x1p-7 : 0x1p-18), 0,
                              bf16 ? 1e-4 : 1e-9};
    return {acc("out", {shape.m, shape.k}, tolerance).rows(),
            input("x", {shape.m, shape.k}).rows(),
            input("norm", {shape.k}),
            input("gate", {inner, shape.k}),
            input("up", {inner, shape.k}),
            input("down", {shape.k, inner})};
  }

  std::vector<double> operator()(const Ops& ops, Context& context, const std::vector<View>& v) const {
    const auto& [shape, dtype, keep, extra] = fused;
    const int64_t rows = v[1].rows(), inner = shape.outputs.front();
    const GuardedWeight gate(ops, context, v[3], inner, shape.k, dtype),
        up(ops, context, v[4], inner, shape.k, dtype), down(ops, context, v[5], shape.k, inner, dtype);
    const WorkingRows normed(ops, context, rows, shape.k), of_gate(ops, context, rows, inner),
        of_up(ops, context, rows, inner), activated(ops, context, rows, inner);
    View x = v[1];
    if (extra) x.data = v[0].data;
    if (separate) {
      ops.rms_norm_forward(context, normed.view(), View{}, x, v[2], kEpsilon);
      ops.linear_forward(context, of_gate.view(), normed.view(), gate.get(), View{}, false);
      ops.linear_forward(context, of_up.view(), normed.view(), up.get(), View{}, false);
      ops.swiglu_forward(context, activated.view(), of_gate.view(), of_up.view());
      ops.linear_forward(context, v[0], activated.view(), down.get(), View{}, true);
    } else {
      ops.feed_forward(context, v[0], x, {v[2], kEpsilon, gate.get(), up.get(), down.get()},
                       {normed.view(), of_gate.view(), of_up.view(), activated.view()});
    }
    for (const GuardedWeight* weight : {&gate, &up, &down}) weight->check_guard();
    return {};
  }

  OpCase op_case() const { return {fused.label("block", " in place"), operands(), *this}; }
};

template <class Call>
std::vector<OpCase> op_cases() {
  std::vector<OpCase> all;
  for (const FusedCase& fused : fused_cases()) all.push_back(Call{fused, false}.op_case());
  return all;
}

template <class Call>
void check_same_bits_as_separate(const Ops& ops) {
  ThreadPool pool(2);
  for (const FusedCase& fused : fused_cases()) {
    if (fused.shape.m == 0) continue;
    const OpCase together = Call{fused, false}.op_case(), apart = Call{fused, true}.op_case();
    const std::vector<Array> arrays = make_arrays(together);
    const Outcome got = run_case(ops, pool, together, arrays), expected = run_case(ops, pool, apart, arrays);
    for (size_t i = 0; i < arrays.size(); ++i)
      check_same_bits(text(together.operands[i].name, " of ", together.label), got.arrays[i],
                      expected.arrays[i]);
  }
}

const Registration registered([] {
  add_op_tests("norm_linear_forward", op_cases<NormCall>);
  add_op_tests("swiglu_linear_forward", op_cases<SwigluCall>);
  add_backend_tests("norm_linear_forward has the bits of its parts", check_same_bits_as_separate<NormCall>);
  add_backend_tests("swiglu_linear_forward has the bits of its parts",
                    check_same_bits_as_separate<SwigluCall>);
  add_op_tests("feed_forward", op_cases<BlockCall>);
  add_backend_tests("feed_forward has the bits of its parts", check_same_bits_as_separate<BlockCall>);
});

}  // namespace

// What no operand's shape can say.
TEST("ops/reference/norm_linear_forward refuses") {
  const Ops& ops = reference_ops();
  ThreadPool pool(1);
  Context context{pool};
  float x[] = {1, 2}, norm[] = {1, 1}, normed[2], out[2], source[] = {1, 2, 3, 4};
  const auto row = [](float* data) { return View(data, DType::kF32, {1, 2}); };
  const View weight_view(norm, DType::kF32, {2}), source_view(source, DType::kF32, {2, 2});
  const GuardedWeight full(ops, context, source_view, 2, 2, DType::kF32);
  const GuardedWeight half(ops, context, source_view, 2, 2, DType::kBF16);
  const auto run = [&](std::vector<LinearOutput> outputs) {
    ops.norm_linear_forward(context, outputs, row(normed), View{}, row(x), weight_view, kEpsilon, true);
  };
  expect_error("ERR_SHAPE", [&] { run({}); });
  expect_error("ERR_SHAPE", [&] { run({{row(out), full.get(), View{}}, {row(out), half.get(), View{}}}); });
  PackedWeight wider = full.get();
  wider.k = 3;
  expect_error("ERR_SHAPE", [&] { run({{row(out), wider, View{}}}); });
}

TEST("ops/reference/feed_forward refuses") {
  const Ops& ops = reference_ops();
  ThreadPool pool(1);
  Context context{pool};
  float values[4][4] = {}, source[] = {1, 2, 3, 4};
  const auto row = [&](int i) { return View(values[i], DType::kF32, {1, 2}); };
  const View source_view(source, DType::kF32, {2, 2}), norm(source, DType::kF32, {2});
  const GuardedWeight full(ops, context, source_view, 2, 2, DType::kF32);
  const GuardedWeight half(ops, context, source_view, 2, 2, DType::kBF16);
  const auto run = [&](const PackedWeight& up, const PackedWeight& down) {
    ops.feed_forward(context, row(0), row(0), {norm, kEpsilon, full.get(), up, down},
                     {row(1), row(2), row(3), row(3)});
  };
  run(full.get(), full.get());
  PackedWeight wider = full.get();
  wider.k = 3;
  expect_error("ERR_SHAPE", [&] { run(half.get(), full.get()); });
  expect_error("ERR_SHAPE", [&] { run(full.get(), half.get()); });
  expect_error("ERR_SHAPE", [&] { run(wider, full.get()); });
  expect_error("ERR_SHAPE", [&] { run(full.get(), wider); });
}

}  // namespace winnow::test
