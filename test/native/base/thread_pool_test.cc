// The thread pool: every index once, exceptions, scratch.
#include "base/thread_pool.h"

#include <atomic>
#include <cstring>
#include <vector>

#include "base/cancel.h"
#include "harness.h"

namespace winnow::test {

TEST("base/thread_pool/every index is handed out once") {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    EXPECT(pool.threads() == threads, pool.threads());
    for (const int64_t count : {0, 1, 2, 7, 1000, 30000}) {
      std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
      std::atomic<bool> thread_in_range{true};
      pool.parallel_for(count, [&](int64_t index, int thread) {
        ++visits[static_cast<size_t>(index)];
        if (thread < 0 || thread >= threads) thread_in_range = false;
      });
      EXPECT(thread_in_range, "a thread number out of range of ", threads);
      for (const auto& visit : visits)
        EXPECT(visit == 1, visit, " visits; threads ", threads, " count ", count);
    }
  }
}

TEST("base/thread_pool/writes of the body are visible afterwards, many times over") {
  ThreadPool pool(3);
  std::vector<int64_t> values(64, 0);
  for (int64_t round = 1; round <= 5000; ++round) {
    pool.parallel_for(64, [&](int64_t index, int) { values[static_cast<size_t>(index)] += index; });
    EXPECT(values[63] == 63 * round && values[1] == round, "round ", round);
  }
}

TEST("base/thread_pool/no two bodies run on one thread number at a time") {
  ThreadPool pool(3);
  std::vector<std::atomic<int>> inside(3);
  std::atomic<bool> shared{false};
  pool.parallel_for(5000, [&](int64_t, int thread) {
    if (++inside[static_cast<size_t>(thread)] != 1) shared = true;
    --inside[static_cast<size_t>(thread)];
  });
  EXPECT(!shared, "scratch would be shared");
}

TEST("base/thread_pool/an exception comes back and the pool goes on") {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      expect_error("ERR_TEST", [&] {
        pool.parallel_for(100, [](int64_t index, int) {
          if (index % 3 == 1) throw Error("ERR_TEST", "planted");
        });
      });
      std::atomic<int> done{0};
      pool.parallel_for(10, [&](int64_t, int) { ++done; });
      EXPECT(done == 10, "after an exception: ", done);
    }
  }
}

TEST("base/thread_pool/misuse is refused") {
  expect_error("ERR_OPTION", [] { ThreadPool pool(0); });
  expect_error("ERR_OPTION", [] { ThreadPool pool(-3); });
  ThreadPool pool(2);
  expect_error("ERR_INTERNAL", [&] {
    pool.parallel_for(2, [&](int64_t, int) { pool.parallel_for(2, [](int64_t, int) {}); });
  });
  EXPECT(available_cores() >= 1, available_cores());
}

TEST("base/thread_pool/scratch is aligned, private and kept") {
  ThreadPool pool(3);
  std::byte* blocks[3];
  for (int thread = 0; thread < 3; ++thread) {
    blocks[thread] = pool.scratch(thread, 1000);
    EXPECT(reinterpret_cast<uintptr_t>(blocks[thread]) % 64 == 0, "alignment");
    std::memset(blocks[thread], thread + 1, 1000);
  }
  for (int thread = 0; thread < 3; ++thread) {
    EXPECT(pool.scratch(thread, 10) == blocks[thread], "a smaller request keeps the block");
    EXPECT(blocks[thread][999] == static_cast<std::byte>(thread + 1), "another thread's write");
    std::byte* grown = pool.scratch(thread, 10000000);
    std::memset(grown, 9, 10000000);
    EXPECT(reinterpret_cast<uintptr_t>(grown) % 64 == 0, "alignment of a large block");
  }
  EXPECT(pool.scratch(0, 0) != nullptr, "an empty request");
}

TEST("base/cancel/throws once cancelled") {
  CancelToken token;
  token.throw_if_cancelled();
  token.cancel();
  expect_error("ERR_ABORTED", [&] { token.throw_if_cancelled(); });
}

}  // namespace winnow::test
