// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC11). A value depends on (key, counter) alone, so it is the same in any batch, on any
// thread and on any backend.
#pragma once

#include <array>
#include <cstdint>

namespace winnow {

inline std::array<uint32_t, 4> philox4x32(uint64_t key, std::array<uint32_t, 4> counter) {
  uint32_t key0 = static_cast<uint32_t>(key), key1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = 0xD2511F53ull * counter[0];
    const uint64_t product1 = 0xCD9E8D57ull * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// Uniform in [0, 1) with 24 random bits, exact in f32.
inline float uniform_from_bits(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

// The one draw that chooses the token at `position` of sample `sample` of prompt `prompt`.
inline float sampling_uniform(uint64_t seed, uint64_t prompt, uint32_t sample, uint32_t position) {
  return uniform_from_bits(philox4x32(
      seed, {static_cast<uint32_t>(prompt), static_cast<uint32_t>(prompt >> 32), sample, position})[0]);
}

// Draws 4 block to 4 block + 3 of the row with this key: which of its entries dropout keeps.
inline std::array<uint32_t, 4> dropout_bits(uint64_t key, uint32_t stream, uint32_t block) {
  return philox4x32(key, {block, stream, 0, 0xd409});
}

}  // namespace winnow
