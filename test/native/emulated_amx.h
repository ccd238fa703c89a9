// Plain C++ stand-ins for the tile registers of matrix_tiles.h, one set a thread. Like the processor they
// refuse shapes that do not fit, and add as Intel's pseudocode says.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace winnow::emulated {

struct TileConfiguration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

struct Tiles {
  bool configured = false;
  TileConfiguration shapes;
  uint32_t units[8][16][16] = {};
};
inline thread_local Tiles tiles;

inline void tile_require(bool holds) {
  if (!holds) std::abort();  // an illegal instruction
}
inline void tile_configure(const TileConfiguration& shapes) {
  tiles = Tiles{};
  tiles.shapes = shapes;
  tiles.configured = true;
}
inline void tile_release() { tiles = Tiles{}; }
template <int Tile>
void tile_zero() {
  tile_require(tiles.configured);
  std::memset(tiles.units[Tile], 0, sizeof tiles.units[Tile]);
}
template <int Tile>
void tile_load(const void* from, int64_t stride_bytes) {
  tile_zero<Tile>();
  for (int64_t row = 0; row < tiles.shapes.rows[Tile]; ++row)
    std::memcpy(tiles.units[Tile][row], static_cast<const char*>(from) + row * stride_bytes,
                tiles.shapes.row_bytes[Tile]);
}
template <int Tile>
void tile_store(void* to, int64_t stride_bytes) {
  tile_require(tiles.configured);
  for (int64_t row = 0; row < tiles.shapes.rows[Tile]; ++row)
    std::memcpy(static_cast<char*>(to) + row * stride_bytes, tiles.units[Tile][row],
                tiles.shapes.row_bytes[Tile]);
}
template <int C, int A, int B>
void tile_dot_bf16() {
  const TileConfiguration& shapes = tiles.shapes;
  tile_require(tiles.configured && C != A && C != B && A != B && shapes.rows[C] == shapes.rows[A] &&
               shapes.row_bytes[C] == shapes.row_bytes[B] && shapes.row_bytes[A] == 4 * shapes.rows[B]);
  const auto early = [](uint32_t pair) { return flush(std::bit_cast<float>(pair << 16)); };
  const auto late = [](uint32_t pair) { return flush(std::bit_cast<float>(pair & 0xffff0000u)); };
  for (int row = 0; row < shapes.rows[C]; ++row) {
    for (int column = 0; column < shapes.row_bytes[C] / 4; ++column) {
      float sum_early = 0, sum_late = 0;
      for (int step = 0; step < shapes.rows[B]; ++step) {
        const uint32_t a = tiles.units[A][row][step], b = tiles.units[B][step][column];
        sum_early = flush(std::fma(early(a), early(b), sum_early));
        sum_late = flush(std::fma(late(a), late(b), sum_late));
      }
      uint32_t& sum = tiles.units[C][row][column];
      sum = std::bit_cast<uint32_t>(flush(flush(std::bit_cast<float>(sum)) + flush(sum_early + sum_late)));
    }
  }
}

}  // namespace winnow::emulated
