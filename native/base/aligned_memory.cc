#include "base/aligned_memory.h"

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "base/error.h"

namespace winnow {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kPage = size_t{64} << 10;  // a multiple of every system's page
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kMapFrom = size_t{1} << 40;  // the heap is watched, but aborts when asked for more
#else
constexpr size_t kMapFrom = 2 * kHugePage;
#endif

// Stands in the 64 bytes before the block.
struct Header {
  void* base;           // what to give back
  size_t mapped_bytes;  // 0: from the heap
};
static_assert(sizeof(Header) <= kAlignment);

[[noreturn]] void throw_out_of_memory(size_t size_bytes) {
  throw Error("ERR_OUT_OF_MEMORY", "the system has no room for a block of memory",
              std::to_string(size_bytes) + " bytes", "none", "use a smaller batch or model");
}

void* finish(void* base, size_t mapped_bytes) {
  auto* header = static_cast<Header*>(base);
  header->base = base;
  header->mapped_bytes = mapped_bytes;
  return static_cast<std::byte*>(base) + kAlignment;
}

#if defined(__linux__)
void* map_block(size_t size_bytes) {
  const size_t wanted = (size_bytes + kAlignment + kPage - 1) / kPage * kPage;
  void* raw = mmap(nullptr, wanted + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) throw_out_of_memory(size_bytes);
  // mmap aligns to pages only: keep the aligned part, give back both ends.
  const auto start = reinterpret_cast<uintptr_t>(raw);
  const uintptr_t aligned = (start + kHugePage - 1) / kHugePage * kHugePage;
  const size_t before = aligned - start, after = kHugePage - before;
  if (before != 0) munmap(raw, before);
  if (after != 0) munmap(reinterpret_cast<void*>(aligned + wanted), after);
  void* base = reinterpret_cast<void*>(aligned);
  // A hint: refused where the kernel has none, with no harm. The end of the block stays in small pages: a
  // huge one that it fills in part would be taken whole.
  madvise(base, wanted / kHugePage * kHugePage, MADV_HUGEPAGE);
  return finish(base, wanted);
}
#endif

}  // namespace

void* allocate_aligned(size_t size_bytes) {
  if (size_bytes > std::numeric_limits<size_t>::max() / 2) throw_out_of_memory(size_bytes);
#if defined(__linux__)
  if (size_bytes >= kMapFrom) return map_block(size_bytes);
#endif
  const size_t rounded = (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* base = std::aligned_alloc(kAlignment, rounded + kAlignment);
  if (base == nullptr) throw_out_of_memory(size_bytes);
  return finish(base, 0);
}

void release_aligned(void* data) noexcept {
  if (data == nullptr) return;
  auto* header = reinterpret_cast<Header*>(static_cast<std::byte*>(data) - kAlignment);
#if defined(__linux__)
  if (header->mapped_bytes != 0) {
    munmap(header->base, header->mapped_bytes);
    return;
  }
#endif
  std::free(header->base);
}

}  // namespace winnow
