// Model: the adapter's matrices, from files or new.
#include <algorithm>
#include <cmath>
#include <set>

#include "base/philox.h"
#include "io/safetensors.h"
#include "model/host_memory.h"
#include "model/model_state.h"
#include "model/room.h"

namespace winnow {
namespace {

std::vector<AdapterSpec> checked_specs(const ModelState& state, const AdapterConfig& config) {
  WINNOW_CHECK(!state.adapter, "ERR_ADAPTER_STATE", "the model has an adapter already", "one adapter a model",
               "a second one");
  WINNOW_CHECK(!state.trains, "ERR_ADAPTER_STATE", "the model trains all its weights already",
               "addAdapter before enableTraining", "addAdapter after it");
  WINNOW_CHECK(state.embedding->source, "ERR_INTERNAL", "the model has no weights yet");
  return adapter_specs(state.config, config);
}

void require_files(std::span<const AdapterSpec> specs, const SafetensorsReader& files) {
  std::set<std::string> known;
  for (const AdapterSpec& spec : specs)
    for (const ParameterSpec* matrix : {&spec.a, &spec.b}) {
      known.insert(matrix->name);
      const View view = files.tensor(matrix->name);
      if (view.rank != 2 || view.shape[0] != matrix->rows || view.shape[1] != matrix->cols)
        throw Error("ERR_TENSOR_SHAPE",
                    "the tensor " + matrix->name + " does not fit the adapter's rank and the model",
                    std::to_string(matrix->rows) + " x " + std::to_string(matrix->cols),
                    view.rank == 2 ? std::to_string(view.shape[0]) + " x " + std::to_string(view.shape[1])
                                   : std::to_string(view.rank) + " axes");
      WINNOW_CHECK(view.dtype != DType::kI32, "ERR_TENSOR_DTYPE",
                   "the tensor " + matrix->name + " is no weight", "f32, bf16 or f16", name(view.dtype));
    }
  for (const std::string& name : files.names())
    if (!known.contains(name))
      throw Error("ERR_TENSOR_UNEXPECTED", "the adapter's file holds a tensor that its targets do not name",
                  "lora_A.weight and lora_B.weight of the target modules", name,
                  "the adapter and the model may not belong together");
}

// Adds the matrices, contents undefined. Their packed forms belong into what is returned.
Reservation add_matrices(ModelState& state, std::span<const AdapterSpec> specs, const AdapterConfig& config) {
  int64_t bytes = 0;
  for (const AdapterSpec& spec : specs)
    for (const ParameterSpec* matrix : {&spec.a, &spec.b})
      bytes += reserved_bytes(matrix->rows * matrix->cols * static_cast<int64_t>(sizeof(float))) +
               reserved_bytes(packed_bytes(state, *matrix, DType::kF32));
  require_memory(state.context, state.ops, bytes, "the adapter's matrices, plain and packed",
                 "lower the adapter's rank");
  Reservation reservation(state.context, state.ops, bytes);
  for (const AdapterSpec& spec : specs)
    for (const bool first : {true, false}) {
      const ParameterSpec& matrix = first ? spec.a : spec.b;
      Parameter parameter;
      parameter.spec = matrix;
      parameter.value = allocate_buffer(state.context, state.ops, {matrix.rows, matrix.cols});
      parameter.source = parameter.value.view();
      WINNOW_CHECK(state.parameters.size() < state.parameters.capacity(), "ERR_INTERNAL",
                   "too many parameters");
      state.parameters.push_back(std::move(parameter));
      Parameter& weight = state.parameters[spec.layer];
      (first ? weight.adapter_a : weight.adapter_b) = &state.parameters.back();
    }
  state.adapter = config;
  state.adapter_scale = adapter_scale(config);
  return reservation;
}

// Uniform in +-1/sqrt(K): Kaiming's bound with a = sqrt(5), as PEFT and torch.nn.Linear have it. A value
// depends on (seed, matrix, element) alone.
void initialise_a(ModelState& state, const Parameter& parameter, uint64_t seed, uint32_t index) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(parameter.spec.cols));
  std::vector<float> values(static_cast<size_t>(parameter.source.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    const auto block = static_cast<uint64_t>(i / 4);
    const auto bits =
        philox4x32(seed, {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), index, 0x10a4});
    values[i] = static_cast<float>(bound * (2.0 * static_cast<double>(uniform_from_bits(bits[i % 4])) - 1.0));
  }
  state.ops.upload(state.context, parameter.source.data, values.data(), values.size() * sizeof(float));
}

void pack_adapter(ModelState& state) {
  state.workspace.forget_computed();
  for (Parameter& parameter : state.adapter_matrices()) pack_weight(state, parameter);
}

}  // namespace

void Model::add_adapter(const AdapterConfig& config, const SafetensorsReader& files) {
  const std::vector<AdapterSpec> specs = checked_specs(*state_, config);
  require_files(specs, files);
  const Reservation reservation = add_matrices(*state_, specs, config);
  for (const Parameter& parameter : state_->adapter_matrices())
    upload_as_f32(state_->context, state_->ops, parameter.source, files.tensor(parameter.spec.name));
  pack_adapter(*state_);
}

void Model::add_adapter(const AdapterConfig& config, uint64_t seed) {
  const std::vector<AdapterSpec> specs = checked_specs(*state_, config);
  const Reservation reservation = add_matrices(*state_, specs, config);
  for (const AdapterSpec& spec : specs) {
    const Parameter& weight = state_->parameters[spec.layer];
    initialise_a(*state_, *weight.adapter_a, seed, static_cast<uint32_t>(spec.layer));
    const View b = weight.adapter_b->source;
    state_->ops.zero(state_->context, b.data, b.size_bytes());
  }
  pack_adapter(*state_);
}

const AdapterConfig* Model::adapter() const { return state_->adapter ? &*state_->adapter : nullptr; }

void Model::switch_adapter(bool on) { state_->adapter_on = on; }

}  // namespace winnow
