// Cosines and sines of the rotary embedding by position, computed once each.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/config.h"

namespace winnow {

class RopeTable {
 public:
  explicit RopeTable(const ModelConfig& config) : frequencies_(rope_inverse_frequencies(config)) {}

  // Row m of `cosine` and `sine` (M, Dh/2): the angles f32(inverse frequency) * f32(position), rounded
  // to f32 as transformers does.
  void gather(std::span<const int32_t> positions, std::vector<float>& cosine, std::vector<float>& sine);

 private:
  void grow(int64_t positions);

  std::vector<float> frequencies_;
  std::vector<float> cosine_, sine_;  // (positions so far, Dh/2)
};

}  // namespace winnow
