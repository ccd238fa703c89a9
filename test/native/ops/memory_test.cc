// allocate, upload, download, copy, zero.
#include <cstring>
#include <limits>
#include <numeric>

#include "op_test.h"

namespace winnow::test {
namespace {

void check_memory(const Ops& ops) {
  ThreadPool pool(1);
  Context context{pool};
  for (const size_t size : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{1000}, size_t{5000000}}) {
    std::vector<unsigned char> sent(size), received(size, 0xee);
    std::iota(sent.begin(), sent.end(), static_cast<unsigned char>(3));
    void* first = ops.allocate(context, size);
    void* second = ops.allocate(context, size);
    EXPECT(first != nullptr && reinterpret_cast<uintptr_t>(first) % 64 == 0, "alignment of ", size, " bytes");
    ops.upload(context, first, sent.data(), size);
    ops.copy(context, second, first, size);
    ops.download(context, received.data(), second, size);
    EXPECT(sent == received, size, " bytes up, across and down");
    ops.zero(context, second, size / 2);
    ops.download(context, received.data(), second, size);
    for (size_t i = 0; i < size; ++i)
      EXPECT(received[i] == (i < size / 2 ? 0 : sent[i]), "byte ", i, " of ", size, " after zero");
    ops.release(context, first);
    ops.release(context, second);
  }
  ops.release(context, nullptr);
  expect_error("ERR_OUT_OF_MEMORY",
               [&] { ops.release(context, ops.allocate(context, std::numeric_limits<size_t>::max() / 4)); });
}

const Registration registered([] { add_backend_tests("memory", check_memory); });

}  // namespace
}  // namespace winnow::test
