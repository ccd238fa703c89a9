// Weights and optimizer state: into training, through files and back, or refused.
#include <cmath>
#include <fstream>

#include "io/safetensors.h"
#include "trainer_fixture.h"

namespace winnow::test {
namespace {

TEST("model/training/enabling it does not move a log-probability, in f32 and bf16, from f32 and bf16 files") {
  for (const DType dtype : {DType::kF32, DType::kBF16})
    for (const DType stored : {DType::kF32, DType::kBF16}) {
      TemporaryFile file("winnow-training");
      TinyModel source(cpu_ops(), "llama");
      source.model.save(file.path, stored);
      TinyModel tiny(cpu_ops(), "llama", dtype);
      tiny.model.load(std::make_shared<SafetensorsReader>(std::vector<std::string>{file.path}));
      const std::vector<float> before = score(tiny.model, kSequences);
      tiny.model.enable_training();
      EXPECT(same_bits(score(tiny.model, kSequences), before), "source is now the master");
      for (Parameter& parameter : tiny.model.parameters())
        EXPECT(parameter.source.data == parameter.value.view().data, "master of ", parameter.spec.name);
    }
}

// kB of a line such as "VmHWM:" in this process's status.
int64_t status_bytes(const std::string& name) {
  std::ifstream file("/proc/self/status");
  std::string word;
  while (file >> word)
    if (word == name) {
      int64_t kibibytes = 0;
      file >> kibibytes;
      return kibibytes * 1024;
    }
  return 0;
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

TEST("model/training/the file that was loaded leaves memory as its masters are made") {
  if (kAddressSanitizer) return skip("the sanitizer's own memory counts as the process's");
  TemporaryFile file("winnow-peak");
  ModelConfig config = tiny_config("llama");
  config.width = 512;
  config.feed_forward = 2048;
  config.layers = 6;
  const TrainingForms forms{.moments = MomentForm::k8Bit};
  ThreadPool pool(1);
  Context context{pool};
  {
    Model source(context, cpu_ops(), config, DType::kBF16);
    source.initialise(7, 0.02f);
    source.save(file.path, DType::kF32);
  }
  Model model(context, cpu_ops(), config, DType::kBF16);
  model.load(std::make_shared<SafetensorsReader>(std::vector<std::string>{file.path}));
  int64_t planned = 0;
  for (const Parameter& parameter : model.parameters()) {
    const TrainingBytes bytes = training_bytes(parameter.spec, model.dtype(), forms);
    planned += bytes.masters + bytes.gradients + bytes.moments;
  }
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak begins anew
  const int64_t before = status_bytes("VmRSS:");
  if (status_bytes("VmHWM:") > before + (int64_t{4} << 20)) return skip("the peak cannot be reset here");
  model.enable_training(forms);
  const int64_t taken = status_bytes("VmHWM:") - before;
  const auto file_bytes = static_cast<int64_t>(std::filesystem::file_size(file.path));
  EXPECT(taken < planned + file_bytes * 3 / 4, taken, " bytes for ", planned, " planned and a file of ",
         file_bytes);
}

void step(Model& model, int64_t number) {
  accumulate(model, kSequences, {unit_weights(kSequences), {}, {}, {}}, supervised());
  UpdateOptions options;
  options.adamw.learning_rate = 1e-2f;
  options.adamw.step = number;
  apply_gradients(model, options);
}

TEST("model/files/a run continues from the optimizer state bit for bit") {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    TemporaryFile file("winnow-optimizer");
    TinyModel one(cpu_ops(), "qwen2", dtype), other(cpu_ops(), "qwen2", dtype);
    one.model.enable_training();
    other.model.enable_training();
    step(one.model, 1);
    step(one.model, 2);
    save_optimizer_state(one.model, file.path);
    EXPECT(!same_state(state_of(one.model), state_of(other.model)), "they differ before loading");
    load_optimizer_state(other.model, file.path);
    step(one.model, 3);
    step(other.model, 3);
    EXPECT(same_state(state_of(one.model), state_of(other.model)), "state after the next step");
    EXPECT(same_bits(score(one.model, kSequences), score(other.model, kSequences)), "scores");
    TinyModel stranger(cpu_ops(), "qwen3", dtype);
    stranger.model.enable_training();
    const auto before = state_of(stranger.model);
    expect_error("ERR_TENSOR_SHAPE", [&] { load_optimizer_state(stranger.model, file.path); });
    EXPECT(same_state(state_of(stranger.model), before), "a refused file changes nothing");
  }
}

TEST("model/files/saved weights load as the same model under the names of Hugging Face") {
  for (const std::string& architecture : tiny_architectures()) {
    TemporaryFile file("winnow-weights");
    TinyModel one(cpu_ops(), architecture), other(cpu_ops(), architecture);
    one.model.enable_training();
    step(one.model, 1);
    one.model.save(file.path, DType::kF32);
    const auto files = std::make_shared<SafetensorsReader>(std::vector<std::string>{file.path});
    EXPECT(files->metadata().at("format") == "pt", "transformers asks for it");
    EXPECT(files->contains("lm_head.weight") != one.model.config().tied_head, "a tied head is not written");
    EXPECT(files->tensor("model.norm.weight").rank == 1, "vectors have one axis");
    other.model.load(files);
    EXPECT(same_bits(score(one.model, kSequences), score(other.model, kSequences)), architecture);
  }
}

TEST("model/files/weights that do not fit the configuration are refused") {
  TemporaryFile file("winnow-misfit");
  TinyModel qwen(cpu_ops(), "qwen2");
  qwen.model.save(file.path, DType::kF32);
  const auto files = std::make_shared<SafetensorsReader>(std::vector<std::string>{file.path});
  const auto load = [&](void (*change)(ModelConfig&)) {
    ModelConfig config = tiny_config("qwen2");
    change(config);
    Model(qwen.context, cpu_ops(), config, DType::kF32).load(files);
  };
  load([](ModelConfig&) {});
  expect_error("ERR_TENSOR_UNEXPECTED", [&] { load([](ModelConfig& c) { c.qkv_bias = false; }); });
  expect_error("ERR_TENSOR_UNEXPECTED", [&] { load([](ModelConfig& c) { c.layers = 1; }); });
  expect_error("ERR_TENSOR_MISSING", [&] { load([](ModelConfig& c) { c.layers = 3; }); });
  expect_error("ERR_TENSOR_MISSING", [&] { load([](ModelConfig& c) { c.tied_head = false; }); });
  expect_error("ERR_TENSOR_SHAPE", [&] { load([](ModelConfig& c) { c.width = 20; }); });
}

TEST("model/initialise/values depend on the seed alone and are standard normals") {
  TinyModel one(cpu_ops(), "llama", DType::kF32, 1, 0.5f), two(cpu_ops(), "llama", DType::kF32, 2, 0.5f);
  std::vector<float> all;
  for (const Parameter& parameter : one.model.parameters()) {
    const std::vector<float> values = read(one.model, parameter.value.view());
    EXPECT(same_bits(values, read(two.model, two.model.parameter(parameter.spec.name).value.view())),
           "threads");
    if (parameter.value.view().rank == 2) all.insert(all.end(), values.begin(), values.end());
  }
  double mean = 0, square = 0, fourth = 0;
  const auto count = static_cast<double>(all.size());
  for (const float value : all) {
    const double z = static_cast<double>(value) / 0.5;
    mean += z / count;
    square += z * z / count;
    fourth += z * z * z * z / count;
  }
  // Standard errors of the moments of n normals: 1, sqrt(2), sqrt(96) over sqrt(n); four of them.
  const double four = 4 / std::sqrt(count);
  EXPECT(std::abs(mean) < four && std::abs(square - 1) < 1.42 * four && std::abs(fourth - 3) < 9.8 * four,
         mean, " ", square, " ", fourth);
  two.model.initialise(8, 0.5f);
  EXPECT(!same_bits(read(one.model, one.model.parameters()[0].value.view()),
                    read(two.model, two.model.parameters()[0].value.view())),
         "another seed");
}

}  // namespace
}  // namespace winnow::test
