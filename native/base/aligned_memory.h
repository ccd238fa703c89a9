// Aligned host memory for weights, activations and scratch.
#pragma once

#include <cstddef>

namespace winnow {

// At least `size_bytes` (0 is allowed), 64-byte aligned, contents undefined. Large blocks are mapped and
// marked for huge pages, which saves a strided matrix most of its TLB misses. Throws ERR_OUT_OF_MEMORY.
void* allocate_aligned(size_t size_bytes);

// Frees what allocate_aligned returned; null is ignored.
void release_aligned(void* data) noexcept;

}  // namespace winnow
