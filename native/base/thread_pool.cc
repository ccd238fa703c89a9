#include "base/thread_pool.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

#include "base/aligned_memory.h"
#include "base/error.h"

namespace winnow {
namespace {

// Longer than the serial stretch between two operations of a decode step, short against a time slice.
constexpr auto kSpinTime = std::chrono::microseconds(50);

inline void pause_core() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

// Calls `ready` until it returns true or the time is up; returns whether it did.
template <typename Ready>
bool spin(std::chrono::microseconds limit, Ready ready) {
  if (ready()) return true;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      pause_core();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return ready();
}

// The gate word: generation in the high half, then an "open" bit, then the number of workers inside.
constexpr uint64_t kOpen = uint64_t{1} << 31;
constexpr uint64_t kInside = kOpen - 1;
constexpr uint64_t generation_of(uint64_t gate) { return gate >> 32; }

}  // namespace

struct ThreadPool::State {
  struct alignas(64) Scratch {
    std::byte* data = nullptr;
    size_t size_bytes = 0;
  };

  // A worker takes part in a job only by entering the gate while it is open. The caller closes it when
  // the indices have run out and waits for those inside alone, so a worker still asleep costs nothing.
  alignas(64) std::atomic<uint64_t> gate{0};
  alignas(64) std::atomic<int64_t> next{0};
  // Written while the gate is shut and empty.
  alignas(64) const Body* body = nullptr;
  int64_t count = 0;

  std::chrono::microseconds spin_time = kSpinTime;
  std::atomic<bool> busy{false};
  std::atomic<bool> stop{false};
  std::atomic<int> parked{0};
  std::mutex mutex;  // of the two below
  std::condition_variable wake;
  std::exception_ptr failure;

  std::vector<Scratch> scratch;
  std::vector<std::thread> workers;

  void run_indices(int thread) {
    try {
      for (;;) {
        const int64_t index = next.fetch_add(1, std::memory_order_relaxed);
        if (index >= count) return;
        (*body)(index, thread);
      }
    } catch (...) {
      next.store(count, std::memory_order_relaxed);  // the rest is not started
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  }

  bool enter(uint64_t generation) {
    uint64_t seen = gate.load(std::memory_order_acquire);
    while (generation_of(seen) == generation && (seen & kOpen) != 0)
      if (gate.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) return true;
    return false;
  }

  void wait_for_job(uint64_t last_generation) {
    const auto ready = [&] {
      return generation_of(gate.load(std::memory_order_seq_cst)) != last_generation ||
             stop.load(std::memory_order_seq_cst);
    };
    if (spin(spin_time, ready)) return;
    std::unique_lock lock(mutex);
    // Either this increment is seen by the caller, who then notifies, or `ready` sees the new gate.
    parked.fetch_add(1, std::memory_order_seq_cst);
    wake.wait(lock, ready);
    parked.fetch_sub(1, std::memory_order_relaxed);
  }

  void work(int thread) {
    uint64_t generation = 0;
    for (;;) {
      wait_for_job(generation);
      if (stop.load(std::memory_order_acquire)) return;
      generation = generation_of(gate.load(std::memory_order_acquire));
      if (!enter(generation)) continue;
      run_indices(thread);
      gate.fetch_sub(1, std::memory_order_acq_rel);
    }
  }

  void notify_parked() {
    if (parked.load(std::memory_order_seq_cst) == 0) return;
    {
      const std::lock_guard lock(mutex);
    }  // a worker between its check and its sleep holds the mutex
    wake.notify_all();
  }

  void run_with_workers(int64_t job_count, const Body& job) {
    body = &job;
    count = job_count;
    next.store(0, std::memory_order_relaxed);
    const uint64_t generation = (generation_of(gate.load(std::memory_order_relaxed)) + 1) & 0xffffffffu;
    gate.store(generation << 32 | kOpen, std::memory_order_seq_cst);
    notify_parked();
    run_indices(0);
    gate.fetch_and(~kOpen, std::memory_order_acq_rel);
    const auto empty = [&] { return (gate.load(std::memory_order_acquire) & kInside) == 0; };
    while (!spin(kSpinTime, empty)) std::this_thread::yield();
    if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
  }

  void shut_down() {
    stop.store(true, std::memory_order_seq_cst);
    {
      const std::lock_guard lock(mutex);
    }
    wake.notify_all();
    for (std::thread& worker : workers) worker.join();
    workers.clear();
  }

  ~State() {
    shut_down();
    for (Scratch& block : scratch) release_aligned(block.data);
  }
};

ThreadPool::ThreadPool(int threads) : threads_(threads), state_(std::make_unique<State>()) {
  WINNOW_CHECK(threads >= 1, "ERR_OPTION", "a thread pool needs at least one thread", "threads >= 1",
               std::to_string(threads));
  // With more threads than cores a spinning worker would keep a working one off its core.
  if (threads > available_cores()) state_->spin_time = std::chrono::microseconds(0);
  state_->scratch.resize(static_cast<size_t>(threads));
  state_->workers.reserve(static_cast<size_t>(threads - 1));
  for (int thread = 1; thread < threads; ++thread)
    state_->workers.emplace_back([state = state_.get(), thread] { state->work(thread); });
}

ThreadPool::~ThreadPool() = default;

void ThreadPool::parallel_for(int64_t count, const Body& body) {
  if (count <= 0) return;
  State& state = *state_;
  WINNOW_CHECK(!state.busy.exchange(true, std::memory_order_acquire), "ERR_INTERNAL",
               "parallel_for was called while another one runs on the same pool");
  struct Idle {
    std::atomic<bool>& busy;
    ~Idle() { busy.store(false, std::memory_order_release); }
  } idle{state.busy};
  if (count == 1 || threads_ == 1) {
    for (int64_t index = 0; index < count; ++index) body(index, 0);
    return;
  }
  state.run_with_workers(count, body);
}

std::byte* ThreadPool::scratch(int thread, size_t size_bytes) {
  State::Scratch& block = state_->scratch[static_cast<size_t>(thread)];
  if (block.size_bytes < size_bytes || block.data == nullptr) {
    std::byte* data = static_cast<std::byte*>(allocate_aligned(size_bytes));
    release_aligned(block.data);
    block.data = data;
    block.size_bytes = size_bytes;
  }
  return block.data;
}

int64_t ThreadPool::scratch_bytes() const {
  size_t total = 0;
  for (int thread = 0; thread < threads_; ++thread)
    total += state_->scratch[static_cast<size_t>(thread)].size_bytes;
  return static_cast<int64_t>(total);
}

int available_cores() {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
  const unsigned cores = std::thread::hardware_concurrency();
  return cores == 0 ? 1 : static_cast<int>(cores);
}

}  // namespace winnow
