#include "harness.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/philox.h"

namespace winnow::test {
namespace {

struct Test {
  std::string name;
  std::function<void()> run;
};

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

enum class Verdict { kPassed, kFailed, kSkipped };

// An exception of any kind is a verdict on this test alone, so the others still run.
Verdict run_test(const Test& test) {
  try {
    test.run();
    return Verdict::kPassed;
  } catch (const Skipped& skipped) {
    std::printf("skipped: %s: %s\n", test.name.c_str(), skipped.what());
    return Verdict::kSkipped;
  } catch (const Error& error) {
    std::printf("FAILED: %s\n  %s: %s; expected %s; received %s\n", test.name.c_str(), error.code.c_str(),
                error.what(), error.expected.c_str(), error.received.c_str());
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n  %s\n", test.name.c_str(), error.what());
  }
  return Verdict::kFailed;
}

}  // namespace

void add_test(std::string name, std::function<void()> run) {
  tests().push_back({std::move(name), std::move(run)});
}

std::string expect_error(const std::string& code, const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    if (error.code != code) fail("expected ", code, " but received ", error.code, ": ", error.what());
    return error.what();
  }
  fail("expected ", code, " but nothing was thrown");
}

void expect_failure(const std::string& what, const std::function<void()>& body) {
  try {
    body();
  } catch (const Failure&) {
    return;
  }
  fail("the check let this pass: ", what);
}

Random::Random(const std::string& seed) : key_(0xcbf29ce484222325ull) {
  for (char c : seed) key_ = (key_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;  // FNV-1a
}

uint32_t Random::bits() { return philox4x32(key_, {counter_++, 0, 0, 0})[0]; }

}  // namespace winnow::test

int main(int argc, char** argv) {
  using namespace winnow::test;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool list = std::find(arguments.begin(), arguments.end(), "--list") != arguments.end();
  std::sort(tests().begin(), tests().end(), [](const Test& a, const Test& b) { return a.name < b.name; });
  int passed = 0, failed = 0, skipped = 0;
  for (const Test& test : tests()) {
    const bool chosen =
        arguments.empty() || list || std::any_of(arguments.begin(), arguments.end(), [&](const auto& part) {
          return test.name.starts_with(part) || test.name.find("/" + part) != std::string::npos;
        });
    if (!chosen) continue;
    if (list) {
      std::printf("%s\n", test.name.c_str());
      continue;
    }
    const Verdict verdict = run_test(test);
    ++(verdict == Verdict::kPassed ? passed : verdict == Verdict::kFailed ? failed : skipped);
    std::fflush(stdout);
  }
  if (list) return 0;
  std::printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed > 0 || passed + skipped == 0 ? 1 : 0;
}
