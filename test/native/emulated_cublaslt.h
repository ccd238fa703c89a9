// A cuBLASLt on plain C++ for the preset `emulated-cuda`: what it offers, and what it was asked to run.
#pragma once

#include <cstdint>
#include <vector>

namespace winnow::emulated {

struct OfferedAlgorithm {
  uint64_t id;
  uint32_t reductions;  // cublasLtReductionScheme_t
  double milliseconds;  // of a product
  bool works;
};
extern std::vector<OfferedAlgorithm> offered_algorithms;  // in the order of the heuristic
extern std::vector<uint64_t> algorithms_run;              // one a product, in order

}  // namespace winnow::emulated
