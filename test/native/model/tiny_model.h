// Small random decoders of every architecture, for tests of the model, of training and of sampling.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/model.h"
#include "op_test.h"
#include "sample/generate.h"
#include "train/trainer.h"

namespace winnow::test {

// "qwen2": q/k/v bias, tied head, odd widths. "qwen3": q/k norm. "llama": untied head, output bias, llama3
// rope scaling, four query heads to a kv head. "mistral": linear rope scaling, one layer, head size 8. With
// "+value" behind the name there is a value head too, with "+tall" more rows than masters are stepped at a
// time, with "+bf16keys" keys and values are kept in bf16.
ModelConfig tiny_config(const std::string& architecture);
const std::vector<std::string>& tiny_architectures();

// A session and a model whose norms, biases and value head are random too.
struct TinyModel {
  TinyModel(const Ops& ops, const std::string& architecture, DType dtype = DType::kF32, int threads = 1,
            float standard_deviation = 0.15f);

  ThreadPool pool;
  Context context;
  Model model;
};

struct TokenLists {
  std::vector<int32_t> tokens;
  std::vector<int64_t> offsets{0};

  TokenLists() = default;
  explicit TokenLists(const std::vector<std::vector<int32_t>>& lists) {
    for (const auto& list : lists) add(list);
  }
  void add(const std::vector<int32_t>& list) {
    tokens.insert(tokens.end(), list.begin(), list.end());
    offsets.push_back(static_cast<int64_t>(tokens.size()));
  }
  size_t count() const { return offsets.size() - 1; }
};

std::vector<int32_t> random_tokens(Random& random, int64_t count, int64_t vocabulary);
std::vector<float> read(Model& model, const View& view);
// Bit for bit, NaN included.
bool same_bits(const std::vector<float>& a, const std::vector<float>& b);

// The calls under test with nothing to cancel.
std::vector<float> score(Model& model, const TokenLists& sequences, const ScoreOptions& options = {});
LossResult accumulate(Model& model, const TokenLists& sequences, const LossInputs& inputs,
                      const LossOptions& options);
GenerateResult generate(Model& model, const TokenLists& prompts, const SamplingOptions& sampling,
                        const GenerateLimits& limits = {}, std::vector<uint64_t> keys = {},
                        const TokenBytes& token_bytes = {});

// Adds `<name>/<backend>` for every backend that this machine runs.
void add_model_tests(const std::string& name, const std::function<void(const Ops&)>& body);

}  // namespace winnow::test
