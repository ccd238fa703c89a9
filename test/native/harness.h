// The test program's own small harness.
//
//   TEST("base/philox/known answers") { EXPECT(1 + 1 == 2, "arithmetic"); }
//
// A test's name is a path: its first part is the group that ctest labels. `winnow_native_tests ops/rope`
// runs the tests whose name has a part (or a run of parts) that starts so, `--list` prints names. A test
// fails by throwing (EXPECT does) and is skipped by calling skip(reason), which prints a line. The last line
// of output is `N passed, N failed, N skipped`; the exit code is 1 if any failed or none was selected.
//
// TO ADD AN OPERATION to the engine: (1) a member with its contract in native/backend/ops.h; (2) one
// function a backend, in backend/reference/<family>.cc (the formula, in double) and
// backend/cpu/<family>.inc, and their lines in reference/ops.cc and cpu/unit.inc; (3) one description in
// test/native/ops/<family>_test.cc, from which op_test.h makes every test on every backend.
#pragma once

#include <cstdint>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace winnow::test {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct Skipped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <typename... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream stream;
  stream.precision(9);
  (stream << ... << parts);
  return stream.str();
}
template <typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Failure(text(parts...));
}
[[noreturn]] inline void skip(const std::string& reason) { throw Skipped(reason); }

void add_test(std::string name, std::function<void()> run);

struct Registration {
  Registration(std::string name, std::function<void()> run) { add_test(std::move(name), std::move(run)); }
  // For files that add many tests at once.
  explicit Registration(const std::function<void()>& add_all) { add_all(); }
};

// Passes when `body` throws winnow::Error with this code; returns its message.
std::string expect_error(const std::string& code, const std::function<void()>& body);
// Passes when `body` throws Failure: how a check shows that it can fail.
void expect_failure(const std::string& what, const std::function<void()>& body);

// Deterministic numbers for tests: Philox keyed by a text.
class Random {
 public:
  explicit Random(const std::string& seed);
  uint32_t bits();
  double uniform(double low, double high) { return low + (high - low) * (bits() * 0x1p-32); }
  int64_t integer(int64_t low, int64_t end) {  // in [low, end)
    return low + static_cast<int64_t>(bits() % static_cast<uint64_t>(end - low));
  }

 private:
  uint64_t key_;
  uint32_t counter_ = 0;
};

}  // namespace winnow::test

#define WINNOW_TEST_JOIN2(a, b) a##b
#define WINNOW_TEST_JOIN(a, b) WINNOW_TEST_JOIN2(a, b)
#define WINNOW_TEST(name, id)                                                                               \
  static void WINNOW_TEST_JOIN(test_, id)();                                                                \
  static const ::winnow::test::Registration WINNOW_TEST_JOIN(registered_, id)(name,                         \
                                                                              WINNOW_TEST_JOIN(test_, id)); \
  static void WINNOW_TEST_JOIN(test_, id)()
#define TEST(name) WINNOW_TEST(name, __LINE__)
#define EXPECT(condition, ...)                                                                            \
  do {                                                                                                    \
    if (!(condition)) ::winnow::test::fail(__FILE__, ":", __LINE__, ": ", #condition, ": ", __VA_ARGS__); \
  } while (0)
