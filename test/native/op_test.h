// Op tests from one description an op.
//
// An OpCase lists the operands of one call (name, role, shape, range) and makes the call. From it every
// backend is checked for: values within the case's derived tolerance of the reference; guard zones around
// every operand intact, inputs unchanged, "set" outputs fully written (they start as NaN, and so does the
// scratch of every thread); a row's result equal bit for bit in any batch; results equal bit for bit on 1,
// 2 and 3 threads; ERR_SHAPE before anything is written when an operand's shape or dtype is wrong, and
// ERR_INDEX_RANGE when an index points outside.
// Every bitwise comparison is repeated with one bit flipped, to show that it can fail.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "backend/ops.h"
#include "harness.h"
#include "tolerance.h"

namespace winnow::test {

enum class Role { kInput, kSet, kAccumulate };  // in-place operands are kAccumulate: they start as known

struct Operand {
  std::string name;
  Role role = Role::kInput;
  std::vector<int64_t> shape;
  Tolerance tolerance{};      // of an output
  double low = -1, high = 1;  // uniform; whole numbers in [low, high) for kI32
  double away = 0;            // if not 0: a magnitude uniform in [away, high], of either sign
  DType dtype = DType::kF32;
  bool by_row = false;                        // the first axis is M
  bool free_rows = false, free_cols = false;  // an extent that no other operand fixes
  bool index = false;                         // points into something of extent `high`
  bool in_view = true;                        // false: passed as raw memory, so its shape can't be wrong
  std::vector<double> values{};               // instead of random ones

  Operand rows() const {
    return with([](Operand& o) { o.by_row = true; });
  }
  Operand any_rows() const {
    return with([](Operand& o) { o.free_rows = true; });
  }
  Operand any_cols() const {
    return with([](Operand& o) { o.free_cols = true; });
  }
  Operand raw() const {
    return with([](Operand& o) { o.in_view = false; });
  }
  Operand away_from_zero(double least) const {
    return with([=](Operand& o) { o.away = least; });
  }
  Operand as(DType format) const {
    return with([=](Operand& o) { o.dtype = format; });
  }
  Operand holding(std::vector<double> numbers) const {
    return with([&](Operand& o) { o.values = std::move(numbers); });
  }
  template <typename Change>
  Operand with(Change change) const {
    Operand copy = *this;
    change(copy);
    return copy;
  }
};

using Shape = std::vector<int64_t>;
inline Operand input(std::string name, Shape shape, double low = -1, double high = 1) {
  return {.name = std::move(name), .shape = std::move(shape), .low = low, .high = high};
}
// (M) whole numbers in [0, end).
inline Operand indices(std::string name, int64_t rows, int64_t end) {
  return input(std::move(name), {rows}, 0, static_cast<double>(end))
      .as(DType::kI32)
      .rows()
      .with([](Operand& o) { o.index = true; });
}
inline Operand set(std::string name, Shape shape, Tolerance tolerance) {
  return {.name = std::move(name), .role = Role::kSet, .shape = std::move(shape), .tolerance = tolerance};
}
inline Operand acc(std::string name, Shape shape, Tolerance tolerance, double low = -1, double high = 1) {
  return {.name = std::move(name),
          .role = Role::kAccumulate,
          .shape = std::move(shape),
          .tolerance = tolerance,
          .low = low,
          .high = high};
}

struct Array {
  DType dtype = DType::kF32;
  Shape shape;
  std::vector<std::byte> bytes;

  View view(void* data) const;
  View view() { return view(bytes.data()); }
  int64_t size() const { return view(nullptr).size(); }
  double number(int64_t index) const;
  void set_number(int64_t index, double value);
};

// Returns what the op returns, as numbers; views stand in the order of the operands.
using OpCall = std::function<std::vector<double>(const Ops&, Context&, const std::vector<View>&)>;

struct OpCase {
  std::string label;  // every parameter: a failure can be repeated from its line
  std::vector<Operand> operands;
  OpCall call;
  bool rows_independent = true;    // false: M is not the only thing that a row depends on (attention plans)
  double result_tolerance = 1e-6;  // relative, of returned numbers
};

struct Outcome {
  std::vector<Array> arrays;
  std::vector<double> results;
};

struct Backend {
  std::string name;  // "reference", "cpu-avx2", ...
  const Ops* ops;    // null: this machine or build can't run it
  std::string why_absent;
};
const std::vector<Backend>& backends();
// The CUDA device's; skips the test where there is none.
const Ops& require_cuda_ops();

std::vector<Array> make_arrays(const OpCase& op_case);
// One call between guard zones; checks them and that inputs are unchanged.
Outcome run_case(const Ops& ops, ThreadPool& pool, const OpCase& op_case, const std::vector<Array>& arrays);
// The same for a call that is refused with `code`, at the latest when the host waits for the backend; returns
// what the operands hold then.
std::vector<Array> run_refused(const Ops& ops, ThreadPool& pool, const OpCase& op_case,
                               const std::vector<Array>& arrays, const std::string& code);

void check_values(const Ops& ops, const OpCase& op_case);
void check_row_independence(const Ops& ops, const OpCase& op_case);
void check_thread_independence(const Ops& ops, const OpCase& op_case);
void check_shape_errors(const Ops& ops, const OpCase& op_case);
void check_index_errors(const Ops& ops, const OpCase& op_case);
void check_close(const std::string& what, const Array& got, const Array& expected, Tolerance tolerance);
// Bit for bit, and proves on a copy with one bit flipped that the comparison sees it.
void check_same_bits(const std::string& what, const Array& got, const Array& expected);

// Adds `ops/<op>/<backend>` for every backend.
void add_op_tests(const std::string& op, const std::function<std::vector<OpCase>()>& cases);
// Adds `ops/<name>/<backend>` that runs `body` on every backend.
void add_backend_tests(const std::string& name, const std::function<void(const Ops&)>& body);

// A weight packed by `ops`, with a guard zone behind it.
class GuardedWeight {
 public:
  GuardedWeight(const Ops& ops, Context& context, const View& source, int64_t n, int64_t k, DType dtype);
  ~GuardedWeight();
  GuardedWeight(const GuardedWeight&) = delete;
  GuardedWeight& operator=(const GuardedWeight&) = delete;
  const PackedWeight& get() const { return weight_; }
  void check_guard() const;

 private:
  const Ops& ops_;
  Context& context_;
  PackedWeight weight_;
};

// What `host` holds, in the backend's memory, for tests that make their calls themselves.
class Placed {
 public:
  Placed(const Ops& ops, Context& context, const View& host);
  ~Placed();
  Placed(const Placed&) = delete;
  Placed& operator=(const Placed&) = delete;
  const View& view() const { return view_; }
  void read_back() const;  // into `host`

 private:
  const Ops& ops_;
  Context& context_;
  View host_, view_;
};

// Central differences of fourth order (Abramowitz & Stegun 25.3.6) of `loss` in the entries of `x`
// against `gradient`. `step` is a power of two and x are multiples of it in f32, so x +- step is exact.
void check_finite_differences(const std::string& what, Array& x, const Array& gradient, double step,
                              double tolerance, const std::function<double()>& loss);

// sum_i weights[i] * values[i]: a scalar loss whose gradient to `values` is `weights`.
double weighted_sum(const Array& weights, const Array& values);

}  // namespace winnow::test
