// The tile registers of AMX: eight matrices of up to 16 rows of 64 bytes. Assembly and not the compiler's
// intrinsics, whose tiles GCC 12 does not tell from untouched memory.
//
//   tile_configure   the shapes of all tiles, and zeros in them
//   tile_release     tiles empty again, so that a change of thread has none to save
//   tile_dot_bf16    C += A . B for A (rows, 32) and B (32, 16) in pairs: the earlier terms of all pairs and
//                    the later ones are chains of their own, both from 0, whose sum is added to C
#pragma once

#include <cstdint>

namespace winnow {

#if WINNOW_EMULATED_AVX512
using emulated::tile_configure;
using emulated::tile_dot_bf16;
using emulated::tile_load;
using emulated::tile_release;
using emulated::tile_store;
using emulated::tile_zero;
using emulated::TileConfiguration;
#else
// As ldtilecfg reads it.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
inline void tile_configure(const TileConfiguration& shapes) {
  asm volatile("ldtilecfg %0" ::"m"(shapes) : "memory");
}
inline void tile_release() { asm volatile("tilerelease" ::: "memory"); }
template <int Tile>
inline void tile_zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(Tile));
}
template <int Tile>
inline void tile_load(const void* from, int64_t stride_bytes) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride_bytes), "i"(Tile) : "memory");
}
template <int Tile>
inline void tile_store(void* to, int64_t stride_bytes) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride_bytes), "i"(Tile) : "memory");
}
template <int C, int A, int B>
inline void tile_dot_bf16() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
}
#endif

}  // namespace winnow
