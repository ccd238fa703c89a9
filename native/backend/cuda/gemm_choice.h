// Choosing an algorithm for each shape of product, and keeping the choice.
#pragma once

#include <cstring>

namespace winnow::cuda {

// Which of `count` candidates has the least `time(i)`, the first of equals; below 0: it cannot run. -1: none.
template <typename Time>
int fastest(int count, const Time& time) {
  int best = -1;
  float least = 0;
  for (int i = 0; i < count; ++i) {
    const float taken = time(i);
    if (taken < 0 || (best >= 0 && taken >= least)) continue;
    best = i;
    least = taken;
  }
  return best;
}

// The values of the last kMost keys; a key is compared byte for byte.
template <typename Key, typename Value, int kMost>
struct Choices {
  Key keys[kMost];
  Value values[kMost];
  int count, next;

  const Value* find(const Key& key) const {
    for (int i = 0; i < count; ++i)
      if (std::memcmp(&keys[i], &key, sizeof key) == 0) return &values[i];
    return nullptr;
  }
  const Value* add(const Key& key, const Value& value) {
    const int at = next;
    keys[at] = key;
    values[at] = value;
    next = (next + 1) % kMost;
    if (count < kMost) ++count;
    return &values[at];
  }
};

}  // namespace winnow::cuda
