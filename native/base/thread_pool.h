// A fixed set of threads that split index ranges. No result may depend on how a range was split.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace winnow {

class ThreadPool {
 public:
  // `threads` >= 1 counts the calling thread. Workers spin briefly, then park.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // Runs body(index, thread) for every index in [0, count), handed out one by one; returns when all
  // are done. The first exception thrown by a body is rethrown here. Not reentrant.
  using Body = std::function<void(int64_t index, int thread)>;
  void parallel_for(int64_t count, const Body& body);

  // Scratch of at least `size_bytes`, 64-byte aligned, private to `thread`, kept between calls and
  // only ever grown. Contents are undefined.
  std::byte* scratch(int thread, size_t size_bytes);
  int64_t scratch_bytes() const;  // held now, of all threads

 private:
  struct State;
  int threads_;
  std::unique_ptr<State> state_;
};

// Cores this process may run on (its affinity mask), at least 1.
int available_cores();

}  // namespace winnow
