// Philox4x32-10 against the known answers of the Random123 distribution (kat_vectors), and the uniform.
#include <set>

#include "base/philox.h"
#include "harness.h"

namespace winnow::test {

TEST("base/philox/known answers") {
  struct Known {
    uint64_t key;
    std::array<uint32_t, 4> counter, expected;
  };
  constexpr uint32_t ones = 0xffffffffu;
  const Known known[] = {
      {0, {0, 0, 0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {~uint64_t{0}, {ones, ones, ones, ones}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {0x299f31d0a4093822,
       {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Known& k : known)
    for (size_t i = 0; i < 4; ++i)
      EXPECT(philox4x32(k.key, k.counter)[i] == k.expected[i], "key ", k.key, " word ", i);
}

TEST("base/philox/uniform is in [0, 1) and uses 24 bits") {
  EXPECT(uniform_from_bits(0) == 0 && uniform_from_bits(0xff) == 0, "smallest");
  EXPECT(uniform_from_bits(0x100) == 0x1p-24f, "one step");
  EXPECT(uniform_from_bits(0xffffffffu) == 1 - 0x1p-24f, "largest");
}

TEST("base/philox/a draw depends on each of its names") {
  const float base = sampling_uniform(1, 2, 3, 4);
  EXPECT(base == sampling_uniform(1, 2, 3, 4), "repeatable");
  std::set<float> draws = {base};
  for (const float other : {sampling_uniform(2, 2, 3, 4), sampling_uniform(1 + (uint64_t{1} << 32), 2, 3, 4),
                            sampling_uniform(1, 3, 3, 4), sampling_uniform(1, 2 + (uint64_t{1} << 32), 3, 4),
                            sampling_uniform(1, 2, 4, 4), sampling_uniform(1, 2, 3, 5)})
    draws.insert(other);
  EXPECT(draws.size() == 7, draws.size(), " different draws of 7");
}

TEST("base/philox/draws of neighbouring positions are uniform") {
  // Pearson's statistic in 64 bins: 63 degrees of freedom, above 127 with probability 4e-6.
  double counts[64] = {};
  for (uint32_t position = 0; position < 64000; ++position)
    counts[static_cast<int>(sampling_uniform(42, 7, 0, position) * 64)] += 1;
  double statistic = 0;
  for (const double count : counts) statistic += (count - 1000) * (count - 1000) / 1000;
  EXPECT(statistic < 127 && statistic > 25, statistic);
}

}  // namespace winnow::test
