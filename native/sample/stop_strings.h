// Finds stop strings in the bytes of a completion, across the borders of its tokens.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace winnow {

class StopStrings {
 public:
  explicit StopStrings(const std::vector<std::string>& strings) : strings_(strings) {
    for (const std::string& string : strings) longest_ = std::max(longest_, string.size());
  }

  // Adds a token's bytes; true when they complete a stop string. `tail` is the completion's own state,
  // empty at first: the last bytes that a match may still begin in.
  bool completes(std::string& tail, std::string_view bytes) const {
    if (strings_.empty()) return false;
    tail += bytes;
    const bool found = std::ranges::any_of(
        strings_, [&](const std::string& string) { return tail.find(string) != std::string::npos; });
    if (tail.size() >= longest_) tail.erase(0, tail.size() - (longest_ - 1));
    return found;
  }

 private:
  std::vector<std::string> strings_;
  size_t longest_ = 0;
};

}  // namespace winnow
