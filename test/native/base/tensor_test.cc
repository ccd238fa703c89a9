// Views, buffers and aligned memory.
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <limits>
#include <vector>

#include "base/aligned_memory.h"
#include "harness.h"
#include "tensor/buffer.h"
#include "tensor/view.h"

namespace winnow::test {

TEST("base/tensor/extents of views") {
  float data[24] = {};
  const View view(data, DType::kF32, {2, 3, 4});
  EXPECT(view.size() == 24 && view.rows() == 2 && view.cols() == 12 && view.size_bytes() == 96, view.size());
  const View none;
  EXPECT(!none && none.size() == 0 && none.rows() == 0 && none.cols() == 0, "a view of nothing");
  const View empty(data, DType::kF32, {0, 5});
  EXPECT(empty.size() == 0 && empty.rows() == 0 && empty.cols() == 0, "a view without rows");
}

TEST("base/tensor/slices of rows") {
  float data[12] = {};
  uint16_t halves[12] = {};
  const View slice = View(data, DType::kF32, {4, 3}).slice_rows(1, 2);
  EXPECT(slice.f32() == data + 3 && slice.rows() == 2 && slice.size() == 6, "f32");
  EXPECT(View(halves, DType::kBF16, {4, 3}).slice_rows(2, 1).as<uint16_t>() == halves + 6, "bf16");
  EXPECT(View(data, DType::kF32, {4, 3}).slice_rows(4, 0).size() == 0, "nothing at the end");
}

TEST("base/tensor/a buffer frees its memory once") {
  float data[1];
  int freed = 0;
  const auto release = [&](void* pointer) { freed += pointer == data; };
  {
    Buffer first(View(data, DType::kF32, {1}), release);
    Buffer second = std::move(first);
    EXPECT(!first && second, "moved");  // NOLINT: a moved-from buffer is empty by contract
    Buffer third(View(data, DType::kF32, {1}), release);
    third = std::move(second);
    EXPECT(freed == 1 && third, "assignment frees the old memory: ", freed);
  }
  EXPECT(freed == 2, freed);
}

TEST("base/tensor/a large block takes the memory that it needs") {
  const auto resident = [] {
    std::ifstream file("/proc/self/statm");
    size_t all = 0, pages = 0;
    file >> all >> pages;
    return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  };
  const size_t size = (size_t{4} << 20) + (size_t{64} << 10), count = 8, before = resident();
  std::vector<void*> blocks;
  for (size_t i = 0; i < count; ++i) std::memset(blocks.emplace_back(allocate_aligned(size)), 1, size);
  const size_t taken = resident() - before;
  EXPECT(taken < count * (size + (size_t{1} << 20)), taken, " bytes for ", count, " blocks of ", size);
  for (void* block : blocks) release_aligned(block);
}

TEST("base/tensor/aligned memory") {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4097}, size_t{9} << 20}) {
    void* data = allocate_aligned(size);
    EXPECT(reinterpret_cast<uintptr_t>(data) % 64 == 0, size);
    if (size) std::memset(data, 1, size);
    release_aligned(data);
  }
  release_aligned(nullptr);
  expect_error("ERR_OUT_OF_MEMORY", [] { allocate_aligned(std::numeric_limits<size_t>::max() - 10); });
}

}  // namespace winnow::test
