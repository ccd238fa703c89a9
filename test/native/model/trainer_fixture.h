// What the tests of training share: sequences with a common prefix, an empty one and one of one token.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "tiny_model.h"

namespace winnow::test {

using Lists = std::vector<std::vector<int32_t>>;
inline const TokenLists kSequences(Lists{{1, 2, 3, 4, 5, 6, 7}, {1, 2, 3, 9, 8}, {}, {11}, {30, 31, 32}});

inline std::vector<float> unit_weights(const TokenLists& sequences) {
  std::vector<float> weight(sequences.tokens.size(), 1.0f);
  for (size_t s = 0; s < sequences.count(); ++s)
    if (sequences.offsets[s + 1] > sequences.offsets[s])
      weight[static_cast<size_t>(sequences.offsets[s])] = 0;
  return weight;
}

inline LossOptions supervised() {
  LossOptions options;
  options.kind = LossKind::kSupervised;
  return options;
}

struct TemporaryFile {
  explicit TemporaryFile(const std::string& name)
      : path((std::filesystem::temp_directory_path() / (name + std::to_string(::getpid()) + ".safetensors"))
                 .string()) {}
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::string path;
};

inline std::vector<std::vector<float>> state_of(Model& model) {
  std::vector<std::vector<float>> state;
  for (Parameter& parameter : model.parameters())
    for (const Buffer* buffer : {&parameter.value, &parameter.moment1, &parameter.moment2})
      state.push_back(read(model, buffer->view()));
  return state;
}

inline bool same_state(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), same_bits);
}

}  // namespace winnow::test
