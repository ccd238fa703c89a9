#include <set>

#include "io/safetensors.h"
#include "model/host_memory.h"
#include "train/trainer.h"

namespace winnow {
namespace {

struct Part {
  const char* prefix;
  Buffer Parameter::* buffer;
};
constexpr Part kParts[] = {
    {"value.", &Parameter::value}, {"moment1.", &Parameter::moment1}, {"moment2.", &Parameter::moment2}};

std::vector<int64_t> shape_of(const View& view) {
  return {view.shape.begin(), view.shape.begin() + view.rank};
}

void require_training(const Model& model) {
  WINNOW_CHECK(model.trains(), "ERR_NOT_TRAINING", "the model holds no optimizer state",
               "a model after enableTraining()");
}

void require_same_tensors(Model& model, const SafetensorsReader& file, const std::string& path) {
  std::set<std::string> known;
  for (const Part& part : kParts)
    for (const Parameter& parameter : model.parameters()) {
      if (!parameter.gradient) continue;
      const std::string name = part.prefix + parameter.spec.name;
      known.insert(name);
      const View stored = file.tensor(name);
      const View ours = (parameter.*part.buffer).view();
      if (stored.dtype != DType::kF32 || shape_of(stored) != shape_of(ours))
        throw Error(
            "ERR_TENSOR_SHAPE", "the optimizer state " + path + " belongs to another model",
            name + ": f32 of " + std::to_string(ours.size()) + " values",
            std::string(winnow::name(stored.dtype)) + " of " + std::to_string(stored.size()) + " values");
    }
  for (const std::string& name : file.names())
    if (!known.contains(name))
      throw Error("ERR_TENSOR_UNEXPECTED", "the optimizer state " + path + " belongs to another model",
                  "only tensors of this model", name);
}

}  // namespace

void save_optimizer_state(const Model& model, const std::string& path) {
  require_training(model);
  const size_t count = model.parameters().size();
  std::vector<std::vector<std::byte>> copies(count * std::size(kParts));
  std::vector<TensorToWrite> tensors;
  for (const Part& part : kParts)
    for (const Parameter& parameter : model.parameters()) {
      if (!parameter.gradient) continue;
      const View view = (parameter.*part.buffer).view();
      const View host = host_view(model.context(), model.ops(), view, copies[tensors.size()]);
      tensors.push_back({part.prefix + parameter.spec.name, DType::kF32, shape_of(view), host});
    }
  write_safetensors(path, tensors, {{"format", "winnow-optimizer"}});
}

void load_optimizer_state(Model& model, const std::string& path) {
  require_training(model);
  const SafetensorsReader file({path});
  require_same_tensors(model, file, path);
  for (const Part& part : kParts)
    for (const Parameter& parameter : model.parameters()) {
      if (!parameter.gradient) continue;
      const View stored = file.tensor(part.prefix + parameter.spec.name);
      model.ops().upload(model.context(), (parameter.*part.buffer).view().data, stored.data,
                         stored.size_bytes());
    }
  model.pack();
}

}  // namespace winnow
