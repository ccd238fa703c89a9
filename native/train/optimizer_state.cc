#include <set>

#include "io/safetensors.h"
#include "model/host_memory.h"
#include "model/workspace.h"
#include "train/trainer.h"

namespace winnow {
namespace {

// A tensor of the file. Masters that live in the packed weight have no buffer: the file has them in f32, like
// the others.
struct StoredTensor {
  std::string name;
  Parameter* parameter;
  View view;  // without data for such a master
};

std::vector<StoredTensor> stored_tensors(Model& model) {
  std::vector<StoredTensor> tensors;
  for (Parameter& parameter : model.parameters()) {
    if (!parameter.gradient) continue;
    const auto add = [&](const char* prefix, const View& view) {
      if (view.rank > 0) tensors.push_back({prefix + parameter.spec.name, &parameter, view});
    };
    const ParameterSpec& spec = parameter.spec;
    add("value.",
        parameter.master_rest ? View(nullptr, DType::kF32, {spec.rows, spec.cols}) : parameter.value.view());
    add("moment1.", parameter.moment1.view());
    add("moment2.", parameter.moment2.view());
    add("moment1_scale.", parameter.moment1_scale.view());
    add("moment2_scale.", parameter.moment2_scale.view());
  }
  return tensors;
}

std::vector<int64_t> shape_of(const View& view) {
  return {view.shape.begin(), view.shape.begin() + view.rank};
}

void require_training(const Model& model) {
  WINNOW_CHECK(model.trains(), "ERR_NOT_TRAINING", "the model holds no optimizer state",
               "a model after enableTraining()");
}

void require_same_tensors(std::span<const StoredTensor> tensors, const SafetensorsReader& file,
                          const std::string& path) {
  std::set<std::string> known;
  for (const StoredTensor& tensor : tensors) {
    known.insert(tensor.name);
    const View stored = file.tensor(tensor.name);
    const auto describe = [&](const View& view) {
      return std::string(name(view.dtype)) + " of " + std::to_string(view.size()) + " values";
    };
    if (stored.dtype != tensor.view.dtype || shape_of(stored) != shape_of(tensor.view))
      throw Error("ERR_TENSOR_SHAPE",
                  "the optimizer state " + path + " belongs to another model or form of its moments",
                  tensor.name + ": " + describe(tensor.view), describe(stored));
  }
  for (const std::string& name : file.names())
    if (!known.contains(name))
      throw Error("ERR_TENSOR_UNEXPECTED",
                  "the optimizer state " + path + " belongs to another model or form of its moments",
                  "only tensors of this model", name);
}

void load_packed_masters(Model& model, Parameter& parameter, const View& stored) {
  for (int64_t first = 0; first < stored.rows(); first += kMasterChunkRows) {
    const View from = stored.slice_rows(first, std::min(kMasterChunkRows, stored.rows() - first));
    const View value = model.workspace().view(Slot::kMasters, {from.rows(), stored.cols()});
    model.ops().upload(model.context(), value.data, from.data, from.size_bytes());
    model.pack_masters(parameter, value, first);
  }
}

}  // namespace

void save_optimizer_state(Model& model, const std::string& path) {
  require_training(model);
  const std::vector<StoredTensor> stored = stored_tensors(model);
  std::vector<std::vector<std::byte>> copies(stored.size());
  std::vector<std::byte> masters;
  std::vector<TensorToWrite> tensors;
  for (size_t i = 0; i < stored.size(); ++i) {
    const auto& [name, parameter, view] = stored[i];
    TensorToWrite tensor{name, view.dtype, shape_of(view), view};
    if (view)
      tensor.source = host_view(model.context(), model.ops(), view, copies[i]);
    else
      tensor.make = [&model, &masters, owner = parameter] { return model.host_values(*owner, masters); };
    tensors.push_back(std::move(tensor));
  }
  write_safetensors(path, tensors, {{"format", "winnow-optimizer"}});
}

void load_optimizer_state(Model& model, const std::string& path) {
  require_training(model);
  const SafetensorsReader file({path});
  const std::vector<StoredTensor> tensors = stored_tensors(model);
  require_same_tensors(tensors, file, path);
  for (const StoredTensor& tensor : tensors) {
    const View stored = file.tensor(tensor.name);
    if (tensor.view)
      model.ops().upload(model.context(), tensor.view.data, stored.data, stored.size_bytes());
    else
      load_packed_masters(model, *tensor.parameter, stored);
  }
  model.pack();
}

}  // namespace winnow
