// Cooperative cancellation and progress for long calls.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "base/error.h"

namespace winnow {

class CancelToken {
 public:
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  void throw_if_cancelled() const {
    if (cancelled()) throw Cancelled();
  }

 private:
  std::atomic<bool> cancelled_{false};
};

// Called from the working thread between tokens or micro-batches; must be cheap and not throw.
using Progress = std::function<void(int64_t done, int64_t total)>;

}  // namespace winnow
