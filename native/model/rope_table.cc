#include "model/rope_table.h"

#include <algorithm>
#include <cmath>

namespace winnow {

void RopeTable::grow(int64_t positions) {
  const auto known = static_cast<int64_t>(cosine_.size() / frequencies_.size());
  for (int64_t position = known; position < positions; ++position) {
    for (const float frequency : frequencies_) {
      const auto angle = static_cast<double>(frequency * static_cast<float>(position));
      cosine_.push_back(static_cast<float>(std::cos(angle)));
      sine_.push_back(static_cast<float>(std::sin(angle)));
    }
  }
}

void RopeTable::gather(std::span<const int32_t> positions, std::vector<float>& cosine,
                       std::vector<float>& sine) {
  if (!positions.empty()) grow(int64_t{*std::ranges::max_element(positions)} + 1);
  cosine.clear();
  sine.clear();
  const auto pairs = static_cast<std::ptrdiff_t>(frequencies_.size());
  for (const int32_t position : positions) {
    const std::ptrdiff_t begin = position * pairs;
    cosine.insert(cosine.end(), cosine_.begin() + begin, cosine_.begin() + begin + pairs);
    sine.insert(sine.end(), sine_.begin() + begin, sine_.begin() + begin + pairs);
  }
}

}  // namespace winnow
