// Masters in the packed weight and moments in 8 bits: the same training, in less memory.
#include <cmath>
#include <fstream>
#include <iterator>

#include "trainer_fixture.h"

namespace winnow::test {
namespace {

constexpr TrainingForms kForms[] = {{},
                                    {.masters = MasterForm::kPacked},
                                    {.moments = MomentForm::k8Bit},
                                    {.moments = MomentForm::k8Bit, .masters = MasterForm::kPacked}};

std::vector<float> values_of(Model& model, const Parameter& parameter) {
  std::vector<std::byte> storage;
  const View host = model.host_values(parameter, storage);
  return {host.f32(), host.f32() + host.size()};
}

std::vector<std::vector<float>> all_values(Model& model) {
  std::vector<std::vector<float>> all;
  for (const Parameter& parameter : model.parameters()) all.push_back(values_of(model, parameter));
  return all;
}

// The loss before each of `steps` updates, the first of them number `first`.
std::vector<double> train(Model& model, int steps, int first = 1) {
  std::vector<double> losses;
  const float count = 12;
  std::vector<float> weight = unit_weights(kSequences);
  for (float& entry : weight) entry /= count;
  for (int step = first; step < first + steps; ++step) {
    losses.push_back(accumulate(model, kSequences, {weight, {}, {}, {}}, supervised()).sums.loss);
    UpdateOptions options;
    options.adamw = {.learning_rate = 3e-3f, .weight_decay = 0.1f, .step = step};
    apply_gradients(model, options);
  }
  return losses;
}

void check_split_masters(const Ops& ops) {
  std::vector<std::string> architectures = tiny_architectures();
  architectures.emplace_back("mistral+tall");
  for (const std::string& architecture : architectures)
    for (const DType dtype : {DType::kF32, DType::kBF16})
      for (const MomentForm moments : {MomentForm::kF32, MomentForm::k8Bit}) {
        TinyModel plain(ops, architecture, dtype, 2), split(ops, architecture, dtype, 1);
        plain.model.enable_training({.moments = moments});
        split.model.enable_training({.moments = moments, .masters = MasterForm::kPacked});
        EXPECT(same_state(all_values(split.model), all_values(plain.model)), "before the first step");
        EXPECT(train(split.model, 8) == train(plain.model, 8), architecture, ": losses");
        EXPECT(same_state(all_values(split.model), all_values(plain.model)), architecture, ": masters");
        EXPECT(same_bits(score(split.model, kSequences), score(plain.model, kSequences)), "scores");
        for (const Parameter& parameter : split.model.parameters())
          EXPECT(static_cast<bool>(parameter.value) == (parameter.spec.kind != ParameterKind::kLinear),
                 parameter.spec.name, ": one master");
      }
}

const int registered = [] {
  add_model_tests("model/training forms/split masters are f32 masters, bit for bit", check_split_masters);
  return 0;
}();

TEST("model/training forms/a state that was saved goes on to the same bits in every form") {
  const TemporaryFile file("winnow-forms-"), other("winnow-forms-other-");
  for (const TrainingForms& forms : kForms) {
    TinyModel straight(cpu_ops(), "qwen3", DType::kBF16), resumed(cpu_ops(), "qwen3", DType::kBF16);
    straight.model.enable_training(forms);
    train(straight.model, 3);
    save_optimizer_state(straight.model, file.path);
    resumed.model.enable_training(forms);
    load_optimizer_state(resumed.model, file.path);
    EXPECT(train(resumed.model, 3, 4) == train(straight.model, 3, 4), "losses");
    EXPECT(same_state(all_values(resumed.model), all_values(straight.model)), "masters");

    // The file has masters in f32 whatever their form in memory is.
    TinyModel changed(cpu_ops(), "qwen3", DType::kBF16);
    const bool split = forms.masters == MasterForm::kPacked;
    changed.model.enable_training(
        {.moments = forms.moments, .masters = split ? MasterForm::kF32 : MasterForm::kPacked});
    load_optimizer_state(changed.model, file.path);
    train(changed.model, 3, 4);
    EXPECT(same_state(all_values(changed.model), all_values(straight.model)), "the other form of masters");
    straight.model.save(file.path, DType::kF32);
    changed.model.save(other.path, DType::kF32);
    std::ifstream a(file.path, std::ios::binary), b(other.path, std::ios::binary);
    EXPECT(std::equal(std::istreambuf_iterator<char>(a), {}, std::istreambuf_iterator<char>(b)),
           "weights saved");
  }
}

TEST("model/training forms/moments of another form are refused") {
  const TemporaryFile file("winnow-forms-refused-");
  TinyModel exact(cpu_ops(), "qwen2"), small(cpu_ops(), "qwen2");
  exact.model.enable_training();
  small.model.enable_training({.moments = MomentForm::k8Bit});
  save_optimizer_state(exact.model, file.path);
  expect_error("ERR_TENSOR_SHAPE", [&] { load_optimizer_state(small.model, file.path); });
  save_optimizer_state(small.model, file.path);
  expect_error("ERR_TENSOR_SHAPE", [&] { load_optimizer_state(exact.model, file.path); });
}

// kBound: an entry of moment1 is off by half a step of its code, at most sqrt(scale |m|) / 127, so that a
// step of the rate is off by some percent of itself; over 20 steps of rate 3e-3 the loss then differs by a
// few percent at most.
TEST("model/training forms/8-bit moments train as f32 moments do") {
  constexpr double kBound = 0.05;
  for (const std::string& architecture : tiny_architectures()) {
    TinyModel exact(cpu_ops(), architecture), small(cpu_ops(), architecture);
    exact.model.enable_training();
    small.model.enable_training({.moments = MomentForm::k8Bit});
    const std::vector<double> expected = train(exact.model, 20), got = train(small.model, 20);
    EXPECT(expected.back() < 0.7 * expected.front(), architecture, " learns: ", expected.back());
    for (size_t step = 0; step < got.size(); ++step)
      EXPECT(std::abs(got[step] - expected[step]) < kBound * expected[step], architecture, " step ", step,
             ": ", got[step], " and ", expected[step]);
    EXPECT(got != expected, "8 bits are fewer than 32");
    for (const Parameter& parameter : small.model.parameters())
      EXPECT((parameter.moment1.view().dtype == DType::kU8) == (parameter.value.view().rank == 2),
             parameter.spec.name, ": norms and biases keep f32");
  }
}

TEST("model/training forms/take what the plan says, and less") {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    std::vector<int64_t> totals;
    for (const TrainingForms& forms : kForms) {
      TinyModel tiny(cpu_ops(), "llama", dtype);
      tiny.model.enable_training(forms);
      const bool split = forms.masters == MasterForm::kPacked;
      int64_t held = 0, chunk = 0;
      for (const Parameter& parameter : tiny.model.parameters()) {
        const auto& [rows, cols] = std::pair(parameter.spec.rows, parameter.spec.cols);
        if (split && parameter.spec.kind == ParameterKind::kLinear)
          chunk = std::max(chunk, std::min(kMasterChunkRows, rows) * cols * 4);
        for (const Buffer* buffer :
             {&parameter.value, &parameter.gradient, &parameter.moment1, &parameter.moment2,
              &parameter.moment1_scale, &parameter.moment2_scale, &parameter.master_rest})
          held += static_cast<int64_t>(buffer->view().size_bytes());
      }
      const MemoryPlan plan = plan_training(tiny.model.config(), dtype, {.forms = forms});
      EXPECT(plan.optimizer == held + chunk, name(dtype), ": ", plan.optimizer, " and ", held);
      totals.push_back(held);
    }
    EXPECT(totals[1] < totals[0] && totals[2] < totals[1] && totals[3] < totals[2], "each form saves more");
  }
}

}  // namespace
}  // namespace winnow::test
