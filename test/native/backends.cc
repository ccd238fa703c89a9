// The registry of backends that the op tests run on.
#include <algorithm>

#include "backend/cpu/dispatch.h"
#include "op_test.h"

namespace winnow::test {

const std::vector<Backend>& backends() {
  static const std::vector<Backend> all = [] {
    std::vector<Backend> list = {{"reference", &reference_ops(), ""}};
    const std::vector<std::string> usable = cpu::usable_instruction_sets();
    for (const std::string set : {"avx2", "avx512", "avx512bf16", "avx512amx"}) {
      const bool present = std::find(usable.begin(), usable.end(), set) != usable.end();
      list.push_back({"cpu-" + set, present ? &cpu::ops_of(set) : nullptr,
                      present ? "" : "this processor has no " + set});
    }
    try {
      list.push_back({"cuda", &cuda_ops(), ""});
    } catch (const Error& error) {
      list.push_back({"cuda", nullptr, std::string("no CUDA device: ") + error.what()});
    }
    return list;
  }();
  return all;
}

const Ops& require_cuda_ops() {
  const auto found = std::ranges::find(backends(), "cuda", &Backend::name);
  if (!found->ops) skip(found->why_absent);
  return *found->ops;
}

}  // namespace winnow::test
