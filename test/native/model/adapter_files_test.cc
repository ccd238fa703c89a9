// Adapters in files, merged, resumed, planned; and what is refused.
#include "adapter_fixture.h"
#include "io/safetensors.h"

namespace winnow::test {
namespace {

TEST("model/adapter/files hold it to the bit, and those of others are refused") {
  TemporaryFile file("winnow-adapter");
  AdaptedModel one(cpu_ops(), "qwen2");
  one.model.save_adapter(file.path);
  const SafetensorsReader reader({file.path});
  EXPECT(reader.contains("base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"), "PEFT's names");
  EXPECT(reader.tensor("base_model.model.model.layers.1.mlp.down_proj.lora_B.weight").shape[1] == 3,
         "(N, r)");
  TinyModel other(cpu_ops(), "qwen2");
  other.model.add_adapter(adapter_config(), reader);
  EXPECT(same_bits(score(other.model, kSequences), score(one.model, kSequences)), "the same policy");
  const auto refused = [&](const char* code, const std::string& architecture, const AdapterConfig& config) {
    TinyModel model(cpu_ops(), architecture);
    expect_error(code, [&] { model.model.add_adapter(config, reader); });
    EXPECT(!model.model.adapter() &&
               model.model.parameters().size() == parameter_specs(model.model.config()).size(),
           "a refused adapter leaves nothing");
  };
  AdapterConfig wider = adapter_config(), fewer = adapter_config(), more = adapter_config();
  wider.rank = 4;
  fewer.targets = {"q_proj"};
  more.targets.push_back("up_proj");
  refused("ERR_TENSOR_SHAPE", "qwen2", wider);
  refused("ERR_TENSOR_UNEXPECTED", "qwen2", fewer);
  refused("ERR_TENSOR_MISSING", "qwen2", more);
  refused("ERR_TENSOR_SHAPE", "qwen3", adapter_config());
}

TEST("model/adapter/what cannot be is refused") {
  TinyModel tiny(cpu_ops(), "llama");
  const auto refused = [&](const char* code, const auto& change) {
    AdapterConfig config = adapter_config();
    change(config);
    expect_error(code, [&] { tiny.model.add_adapter(config, 1); });
  };
  for (const char* target :
       {"lm_head", "proj", "embed_tokens", "input_layernorm", "layers.2.mlp.up_proj", "", "q_proj."})
    refused("ERR_ADAPTER_TARGET", [&](AdapterConfig& config) { config.targets.push_back(target); });
  refused("ERR_ADAPTER_CONFIG", [](AdapterConfig& config) { config.targets.clear(); });
  refused("ERR_ADAPTER_CONFIG", [](AdapterConfig& config) { config.rank = 0; });
  refused("ERR_ADAPTER_CONFIG", [](AdapterConfig& config) { config.alpha = 0; });
  refused("ERR_ADAPTER_CONFIG", [](AdapterConfig& config) { config.dropout = 1; });
  expect_error("ERR_ADAPTER_STATE", [&] { tiny.model.save_adapter("/nowhere"); });
  expect_error("ERR_ADAPTER_STATE", [&] { tiny.model.save_merged("/nowhere", DType::kF32); });
  tiny.model.enable_training();
  expect_error("ERR_ADAPTER_STATE", [&] { tiny.model.add_adapter(adapter_config(), 1); });
  AdaptedModel adapted(cpu_ops(), "llama");
  expect_error("ERR_ADAPTER_STATE", [&] { adapted.model.add_adapter(adapter_config(), 1); });
  expect_error("ERR_ADAPTER_STATE", [&] { adapted.model.save("/nowhere", DType::kF32); });
}

TEST("model/adapter/merged weights are the same policy, from f32 and from mapped bf16") {
  for (const DType stored : {DType::kF32, DType::kBF16}) {
    TemporaryFile weights("winnow-base"), file("winnow-merged");
    TinyModel source(cpu_ops(), "qwen3");
    source.model.save(weights.path, stored);
    TinyModel one(cpu_ops(), "qwen3"), merged(cpu_ops(), "qwen3");
    one.model.load(std::make_shared<SafetensorsReader>(std::vector<std::string>{weights.path}));
    one.model.add_adapter(adapter_config(), 3);
    fill_b(one.model);
    one.model.save_merged(file.path, DType::kF32);
    merged.model.load(std::make_shared<SafetensorsReader>(std::vector<std::string>{file.path}));
    const std::vector<float> expected = score(one.model, kSequences), got = score(merged.model, kSequences);
    const std::vector<float> bare = score(one.model, kSequences, {.adapter = false});
    for (size_t i = 0; i < got.size(); ++i) {
      if (std::isnan(got[i])) continue;
      EXPECT(std::fabs(got[i] - expected[i]) < 2e-5f, "token ", i, ": ", got[i], ", not ", expected[i]);
      EXPECT(std::fabs(bare[i] - expected[i]) > 1e-4f, "token ", i, " is moved by the adapter");
    }
  }
}

TEST("model/adapter/a run continues from the optimizer state bit for bit") {
  TemporaryFile file("winnow-adapter-state");
  AdaptedModel one(cpu_ops(), "qwen2", adapter_config(0.2f)), other(cpu_ops(), "qwen2", adapter_config(0.2f));
  one.model.enable_training();
  other.model.enable_training();
  const auto step = [](Model& model, int64_t number) {
    accumulate_all(model, kSequences, supervised_with(static_cast<uint64_t>(number)));
    UpdateOptions options;
    options.adamw.learning_rate = 1e-2f;
    options.adamw.step = number;
    apply_gradients(model, options);
  };
  step(one.model, 1);
  step(one.model, 2);
  save_optimizer_state(one.model, file.path);
  const SafetensorsReader reader({file.path});
  EXPECT(reader.names().size() == 3 * 2 * (2 * 4 + 1), "the adapter's alone: ", reader.names().size());
  load_optimizer_state(other.model, file.path);
  step(one.model, 3);
  step(other.model, 3);
  EXPECT(same_bits(score(one.model, kSequences), score(other.model, kSequences)),
         "scores after the next step");
}

TEST("model/adapter/the plan counts masters and moments of the adapter alone") {
  const ModelConfig config = tiny_config("llama");
  const AdapterConfig adapter = adapter_config();
  int64_t parameters = 0;
  for (const AdapterSpec& spec : adapter_specs(config, adapter))
    parameters += spec.a.rows * spec.a.cols + spec.b.rows * spec.b.cols;
  const MemoryPlan all = plan_training(config, DType::kBF16, {.max_batch_tokens = 64, .head_chunk_rows = 8});
  const MemoryPlan plan = plan_training(config, DType::kBF16,
                                        {.max_batch_tokens = 64, .head_chunk_rows = 8, .adapter = &adapter});
  EXPECT(plan.optimizer == 16 * parameters, plan.optimizer);
  EXPECT(plan.weights == all.weights + 4 * parameters, plan.weights);
  EXPECT(plan.activations == all.activations + 64 * 4 * 2 * 3, plan.activations);
}

}  // namespace
}  // namespace winnow::test
