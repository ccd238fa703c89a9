// The properties that every op must have, checked on the cases of op_test.h.
#include "op_test.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

namespace winnow::test {
namespace {

bool is_output(const Operand& operand) { return operand.role != Role::kInput; }

// Rows [begin, begin + count) of the by_row operands, the others whole.
std::vector<Array> sliced(const OpCase& op_case, const std::vector<Array>& arrays, int64_t begin,
                          int64_t count) {
  std::vector<Array> result = arrays;
  for (size_t i = 0; i < arrays.size(); ++i) {
    if (!op_case.operands[i].by_row) continue;
    const size_t row_bytes = arrays[i].bytes.size() / static_cast<size_t>(arrays[i].shape[0]);
    const auto first = arrays[i].bytes.begin() + begin * static_cast<int64_t>(row_bytes);
    result[i].shape[0] = count;
    result[i].bytes.assign(first, first + count * static_cast<int64_t>(row_bytes));
  }
  return result;
}

// With an extent of zero another shape can be just as right, and one small case tells as much as a large.
bool tells_shapes_apart(const std::vector<Array>& arrays) {
  int64_t total = 0;
  for (const Array& array : arrays) {
    if (array.size() == 0) return false;
    total += array.size();
  }
  return total <= 4096;
}

int64_t row_count(const OpCase& op_case) {
  for (const Operand& operand : op_case.operands)
    if (operand.by_row) return operand.shape[0];
  return 0;
}

void compare_bits(const std::string& what, const Array& got, const Array& expected) {
  if (got.shape != expected.shape || got.dtype != expected.dtype) fail(what, ": different shapes");
  for (int64_t i = 0; i < got.size(); ++i) {
    const size_t at = static_cast<size_t>(i) * size_bytes(got.dtype);
    if (std::memcmp(&got.bytes[at], &expected.bytes[at], size_bytes(got.dtype)) != 0)
      fail(what, ": element ", i, " is ", got.number(i), ", expected the same bits as ", expected.number(i));
  }
}

struct WrongShape {
  size_t operand;
  Shape shape;
  DType dtype;
  std::string what;
};

std::vector<WrongShape> wrong_shapes(const OpCase& op_case) {
  std::vector<WrongShape> all;
  for (size_t i = 0; i < op_case.operands.size(); ++i) {
    const Operand& operand = op_case.operands[i];
    if (!operand.in_view) continue;
    Shape longer = operand.shape, wider = operand.shape;
    ++longer.front();
    ++wider.back();
    const DType other = operand.dtype == DType::kI32 ? DType::kF32 : DType::kI32;
    if (!operand.free_rows) all.push_back({i, longer, operand.dtype, "one row more in " + operand.name});
    if (!operand.free_cols && operand.shape.size() > 1)
      all.push_back({i, wider, operand.dtype, "one column more in " + operand.name});
    all.push_back({i, operand.shape, other, "another dtype of " + operand.name});
  }
  return all;
}

}  // namespace

void check_same_bits(const std::string& what, const Array& got, const Array& expected) {
  compare_bits(what, got, expected);
  if (got.bytes.empty()) return;
  Array flipped = got;
  flipped.bytes[flipped.bytes.size() / 2 & ~size_t{3}] ^= std::byte{1};  // one unit in the last place
  expect_failure(what + ": one bit flipped", [&] { compare_bits(what, flipped, expected); });
}

void check_close(const std::string& what, const Array& got, const Array& expected, Tolerance tolerance) {
  double error_square_sum = 0, square_sum = 0, largest = 0;
  for (int64_t i = 0; i < got.size(); ++i) {
    const double a = got.number(i), b = expected.number(i);
    const bool both_infinite = std::isinf(a) && a == b;
    const double error = both_infinite ? 0 : std::fabs(a - b);
    const double limit = tolerance.absolute + tolerance.relative * std::fabs(b);
    if (!(error <= limit))
      fail(what, ": element ", i, " is ", a, ", the reference has ", b, ", error ", error, " > ", limit);
    if (both_infinite) continue;
    error_square_sum += error * error;
    square_sum += b * b;
    largest = std::max(largest, std::fabs(b));
  }
  const bool normalisable = got.size() >= 64 && largest > tolerance.absolute;  // not all of it is rounding
  if (normalisable && error_square_sum > tolerance.nmse * square_sum)
    fail(what, ": normalised mean squared error ", error_square_sum / square_sum, " > ", tolerance.nmse);
}

void check_values(const Ops& ops, const OpCase& op_case) {
  ThreadPool pool(2);
  const std::vector<Array> arrays = make_arrays(op_case);
  const Outcome expected = run_case(reference_ops(), pool, op_case, arrays);
  const Outcome got = run_case(ops, pool, op_case, arrays);
  for (size_t i = 0; i < arrays.size(); ++i)
    if (is_output(op_case.operands[i]))
      check_close(op_case.operands[i].name, got.arrays[i], expected.arrays[i], op_case.operands[i].tolerance);
  EXPECT(got.results.size() == expected.results.size(), op_case.label);
  for (size_t i = 0; i < got.results.size(); ++i) {
    const double limit = op_case.result_tolerance * (1e-3 + std::fabs(expected.results[i]));
    EXPECT(std::fabs(got.results[i] - expected.results[i]) <= limit, "returned number ", i, " is ",
           got.results[i], ", the reference has ", expected.results[i]);
  }
}

void check_row_independence(const Ops& ops, const OpCase& op_case) {
  const int64_t rows = row_count(op_case);
  if (!op_case.rows_independent || rows < 2) return;
  if (std::string_view(ops.instructions).find("cuBLASLt") != std::string_view::npos) return;  // goes by M
  ThreadPool pool(2);
  const std::vector<Array> arrays = make_arrays(op_case);
  const Outcome whole = run_case(ops, pool, op_case, arrays);
  const std::pair<int64_t, int64_t> ranges[] = {
      {0, 1}, {rows / 2, 1}, {rows - 1, 1}, {1, std::min<int64_t>(rows - 1, 5)}, {rows / 3, rows - rows / 3}};
  for (const auto& [begin, count] : ranges) {
    const Outcome part = run_case(ops, pool, op_case, sliced(op_case, arrays, begin, count));
    const std::vector<Array> expected = sliced(op_case, whole.arrays, begin, count);
    for (size_t i = 0; i < arrays.size(); ++i)
      if (op_case.operands[i].by_row && is_output(op_case.operands[i]))
        check_same_bits(text(op_case.operands[i].name, " of rows ", begin, " to ", begin + count, " alone"),
                        part.arrays[i], expected[i]);
  }
}

void check_thread_independence(const Ops& ops, const OpCase& op_case) {
  const std::vector<Array> arrays = make_arrays(op_case);
  ThreadPool one(1), two(2), three(3);
  const Outcome expected = run_case(ops, one, op_case, arrays);
  for (ThreadPool* pool : {&two, &three}) {
    const Outcome got = run_case(ops, *pool, op_case, arrays);
    for (size_t i = 0; i < arrays.size(); ++i)
      if (is_output(op_case.operands[i]))
        check_same_bits(text(op_case.operands[i].name, " on ", pool->threads(), " threads"), got.arrays[i],
                        expected.arrays[i]);
    EXPECT(got.results == expected.results, "returned numbers on ", pool->threads(), " threads");
  }
}

void check_shape_errors(const Ops& ops, const OpCase& op_case) {
  ThreadPool pool(1);
  Context context{pool};
  const std::vector<Array> untouched = make_arrays(op_case);
  if (!tells_shapes_apart(untouched)) return;
  for (const WrongShape& wrong : wrong_shapes(op_case)) {
    std::vector<Array> arrays = untouched;
    std::vector<View> views;
    for (Array& array : arrays) views.push_back(array.view());
    // Room for the claimed shape, so that an op which does not notice writes into its own memory.
    std::vector<std::byte> room(arrays[wrong.operand].bytes.size() * 2 + 4096);
    std::copy(arrays[wrong.operand].bytes.begin(), arrays[wrong.operand].bytes.end(), room.begin());
    const std::vector<std::byte> before = room;
    Array claimed{wrong.dtype, wrong.shape, {}};
    views[wrong.operand] = claimed.view(room.data());
    try {
      expect_error("ERR_SHAPE", [&] { op_case.call(ops, context, views); });
    } catch (const Failure& failure) {
      fail(wrong.what, ": ", failure.what());
    }
    EXPECT(room == before, wrong.what, ": wrote to ", op_case.operands[wrong.operand].name);
    for (size_t i = 0; i < arrays.size(); ++i)
      EXPECT(arrays[i].bytes == untouched[i].bytes, wrong.what, ": wrote to ", op_case.operands[i].name);
  }
}

void check_index_errors(const Ops& ops, const OpCase& op_case) {
  ThreadPool pool(1);
  const std::vector<Array> arrays = make_arrays(op_case);
  if (!tells_shapes_apart(arrays)) return;
  for (size_t i = 0; i < arrays.size(); ++i) {
    const Operand& operand = op_case.operands[i];
    if (!operand.index) continue;
    for (const double wrong : {-1.0, operand.high}) {
      std::vector<Array> changed = arrays;
      changed[i].set_number(changed[i].size() - 1, wrong);
      const std::vector<Array> after = run_refused(ops, pool, op_case, changed, "ERR_INDEX_RANGE");
      for (size_t k = 0; k < arrays.size(); ++k)
        EXPECT(after[k].bytes == changed[k].bytes, "index ", wrong, ": wrote to ", op_case.operands[k].name);
    }
  }
}

void check_finite_differences(const std::string& what, Array& x, const Array& gradient, double step,
                              double tolerance, const std::function<double()>& loss) {
  const auto loss_at = [&](int64_t i, double value) {
    const double kept = x.number(i);
    x.set_number(i, value);
    EXPECT(x.number(i) == value, what, ": the step is not exact in f32");
    const double result = loss();
    x.set_number(i, kept);
    return result;
  };
  for (int64_t i = 0; i < x.size(); ++i) {
    const double at = x.number(i);
    const double near = loss_at(i, at + step) - loss_at(i, at - step);
    const double far = loss_at(i, at + 2 * step) - loss_at(i, at - 2 * step);
    const double expected = (8 * near - far) / (12 * step), got = gradient.number(i);
    EXPECT(std::fabs(got - expected) <= tolerance * (1 + std::fabs(expected)), what, ": entry ", i, " is ",
           got, ", finite differences give ", expected);
  }
}

double weighted_sum(const Array& weights, const Array& values) {
  double sum = 0;
  for (int64_t i = 0; i < values.size(); ++i) sum += weights.number(i) * values.number(i);
  return sum;
}

void add_backend_tests(const std::string& name, const std::function<void(const Ops&)>& body) {
  for (const Backend& backend : backends())
    add_test("ops/" + name + "/" + backend.name, [&backend, body] {
      if (!backend.ops) skip(backend.why_absent);
      body(*backend.ops);
    });
}

void add_op_tests(const std::string& op, const std::function<std::vector<OpCase>()>& cases) {
  add_backend_tests(op, [cases](const Ops& ops) {
    using Check = void (*)(const Ops&, const OpCase&);
    const std::pair<const char*, Check> checks[] = {{"values", check_values},
                                                    {"row independence", check_row_independence},
                                                    {"thread independence", check_thread_independence},
                                                    {"shape errors", check_shape_errors},
                                                    {"index errors", check_index_errors}};
    std::string failures;
    for (const auto& [property, check] : checks) {
      for (const OpCase& op_case : cases()) {
        try {
          check(ops, op_case);
        } catch (const Failure& failure) {
          failures += text("\n  ", property, " of ", op_case.label, ": ", failure.what());
          break;
        } catch (const Error& error) {
          failures += text("\n  ", property, " of ", op_case.label, ": ", error.code, ": ", error.what());
          break;
        }
      }
    }
    if (!failures.empty()) fail("these checks failed:", failures);
  });
}

}  // namespace winnow::test
