// Typed errors. Every failure is one sentence with a code, what was expected, what came, and a hint.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace winnow {

struct Error : std::runtime_error {
  Error(std::string code_, const std::string& what_, std::string expected_ = {}, std::string received_ = {},
        std::string hint_ = {})
      : std::runtime_error(what_),
        code(std::move(code_)),
        expected(std::move(expected_)),
        received(std::move(received_)),
        hint(std::move(hint_)) {}
  std::string code;      // "ERR_SHAPE", "ERR_FILE_FORMAT", ...: stable, documented in docs/errors.md
  std::string expected;  // may be empty
  std::string received;  // may be empty
  std::string hint;      // may be empty
};

// Thrown by long calls when their CancelToken is set; the border turns it into the caller's abort reason.
struct Cancelled : Error {
  Cancelled() : Error("ERR_ABORTED", "the call was aborted") {}
};

}  // namespace winnow

// CHECK is always on; DCHECK only in debug and sanitizer builds.
#define WINNOW_CHECK(condition, ...)                      \
  do {                                                    \
    if (!(condition)) throw ::winnow::Error(__VA_ARGS__); \
  } while (0)
#ifdef NDEBUG
#define WINNOW_DCHECK(condition) ((void)0)
#else
#define WINNOW_DCHECK(condition) WINNOW_CHECK(condition, "ERR_INTERNAL", "internal check failed: " #condition)
#endif
