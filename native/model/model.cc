#include "model/model.h"

#include <algorithm>
#include <set>

#include "io/safetensors.h"
#include "model/host_memory.h"
#include "model/model_state.h"
#include "model/room.h"

namespace winnow {
namespace {

Parameter* find(std::vector<Parameter>& parameters, std::string_view name) {
  for (Parameter& parameter : parameters)
    if (parameter.spec.name == name) return &parameter;
  return nullptr;
}

LayerParameters layer_parameters(std::vector<Parameter>& parameters, int layer) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const auto get = [&](const char* name) { return find(parameters, prefix + name); };
  return {
      get("input_layernorm.weight"),  get("self_attn.q_proj.weight"), get("self_attn.q_proj.bias"),
      get("self_attn.k_proj.weight"), get("self_attn.k_proj.bias"),   get("self_attn.v_proj.weight"),
      get("self_attn.v_proj.bias"),   get("self_attn.q_norm.weight"), get("self_attn.k_norm.weight"),
      get("self_attn.o_proj.weight"), get("self_attn.o_proj.bias"),   get("post_attention_layernorm.weight"),
      get("mlp.gate_proj.weight"),    get("mlp.up_proj.weight"),      get("mlp.down_proj.weight")};
}

// What a file may hold besides the model's parameters: the copy of a tied head, and rotary tables of
// old exports.
bool may_be_ignored(const ModelConfig& config, const std::string& name) {
  return (config.tied_head && name == "lm_head.weight") || name.ends_with("rotary_emb.inv_freq");
}

void require_known_names(const ModelState& state, const SafetensorsReader& files) {
  std::set<std::string> known;
  for (const Parameter& parameter : state.parameters) known.insert(parameter.spec.name);
  for (const std::string& name : files.names())
    if (!known.contains(name) && !may_be_ignored(state.config, name))
      throw Error("ERR_TENSOR_UNEXPECTED", "the weights hold a tensor that the configuration does not know",
                  "the tensors of config.json's architecture", name,
                  "the configuration and the weights may belong to different models");
}

View checked_tensor(const ParameterSpec& spec, const SafetensorsReader& files) {
  View view = files.tensor(spec.name);
  const bool fits = is_matrix(spec)
                        ? view.rank == 2 && view.shape[0] == spec.rows && view.shape[1] == spec.cols
                        : view.rank == 1 && view.shape[0] == spec.cols;
  const std::string shape = is_matrix(spec) ? std::to_string(spec.rows) + " x " + std::to_string(spec.cols)
                                            : std::to_string(spec.cols);
  if (!fits) {
    std::string received;
    for (int axis = 0; axis < view.rank; ++axis)
      received += (axis ? " x " : "") + std::to_string(view.shape[static_cast<size_t>(axis)]);
    throw Error("ERR_TENSOR_SHAPE", "the tensor " + spec.name + " does not fit the configuration", shape,
                received);
  }
  WINNOW_CHECK(is_float(view.dtype), "ERR_TENSOR_DTYPE", "the tensor " + spec.name + " is no weight",
               "f32, bf16 or f16", name(view.dtype));
  return view;
}

bool has_packed_form(const ModelState& state, const Parameter& parameter) {
  return parameter.spec.kind == ParameterKind::kLinear || parameter.spec.kind == ParameterKind::kValueHead ||
         &parameter == state.head;
}

}  // namespace

bool is_matrix(const ParameterSpec& spec) {
  return spec.kind == ParameterKind::kEmbedding || spec.kind == ParameterKind::kLinear ||
         spec.kind == ParameterKind::kValueHead;
}

int64_t packed_bytes(const ModelState& state, const ParameterSpec& spec, DType dtype) {
  return static_cast<int64_t>(state.ops.packed_weight_bytes(spec.rows, spec.cols, dtype) + 1) / 2 * 2;
}

namespace {

// Adapters and value heads are read as they are.
DType packed_dtype(const ModelState& state, const Parameter& parameter) {
  const bool adapts = static_cast<size_t>(&parameter - state.parameters.data()) >= state.decoder_parameters;
  return adapts || parameter.spec.kind == ParameterKind::kValueHead ? DType::kF32 : state.dtype;
}

// Of the packed forms that are not there yet.
int64_t missing_packed_bytes(const ModelState& state) {
  int64_t bytes = 0;
  for (const Parameter& parameter : state.parameters)
    if (has_packed_form(state, parameter) && !parameter.packed_storage)
      bytes += reserved_bytes(packed_bytes(state, parameter.spec, packed_dtype(state, parameter)));
  return bytes;
}

// On a device the embedding's rows are a copy of those in the file.
void require_loading_memory(const ModelState& state, const SafetensorsReader& files) {
  const int64_t packed = missing_packed_bytes(state);
  const int64_t copied = shares_host_memory(state.ops)
                             ? 0
                             : static_cast<int64_t>(files.tensor(state.embedding->spec.name).size_bytes());
  require_memory(state.context, state.ops, packed + copied,
                 "packed weights " + std::to_string(packed) + ", embedding " + std::to_string(copied),
                 "use a smaller model, or bf16");
}

}  // namespace

void pack_weight(ModelState& state, Parameter& parameter) {
  if (!parameter.packed_storage) {
    const DType dtype = packed_dtype(state, parameter);
    // Counted in 16-bit elements: the layout is the backend's own.
    parameter.packed_storage = allocate_buffer(
        state.context, state.ops, {packed_bytes(state, parameter.spec, dtype) / 2}, DType::kBF16);
    parameter.packed = {parameter.packed_storage.view().data, parameter.spec.rows, parameter.spec.cols,
                        dtype};
  }
  Buffer staged;
  const View source = parameter.value ? parameter.value.view()
                                      : device_view(state.context, state.ops, parameter.source, staged);
  state.ops.pack_weight(state.context, parameter.packed, source);
}

ModelState::ModelState(Context& context_, const Ops& ops_, const ModelConfig& config_, DType dtype_)
    : context(context_),
      ops(ops_),
      config(config_),
      dtype(dtype_),
      workspace(context_, ops_, config),
      rope(config_) {
  std::vector<ParameterSpec> specs = parameter_specs(config);
  decoder_parameters = specs.size();
  parameters.reserve(3 * decoder_parameters);  // an adapter has at most two matrices for each
  for (ParameterSpec& spec : specs) {
    Parameter parameter;
    parameter.spec = std::move(spec);
    parameters.push_back(std::move(parameter));
  }
  for (int layer = 0; layer < config.layers; ++layer) layers.push_back(layer_parameters(parameters, layer));
  embedding = find(parameters, "model.embed_tokens.weight");
  final_norm = find(parameters, "model.norm.weight");
  head = config.tied_head ? embedding : find(parameters, "lm_head.weight");
  value_head = find(parameters, "score.weight");
}

Model::Model(Context& context, const Ops& ops, ModelConfig config, DType dtype) {
  validate(config);
  WINNOW_CHECK(dtype == DType::kF32 || dtype == DType::kBF16, "ERR_MODEL_CONFIG",
               "the model's number format is not supported", "f32 or bf16", name(dtype));
  state_ = std::make_unique<ModelState>(context, ops, config, dtype);
}

Model::~Model() = default;

const ModelConfig& Model::config() const { return state_->config; }
DType Model::dtype() const { return state_->dtype; }
const Ops& Model::ops() const { return state_->ops; }
Context& Model::context() const { return state_->context; }
std::span<Parameter> Model::parameters() { return state_->parameters; }
std::span<const Parameter> Model::parameters() const { return state_->parameters; }
bool Model::trains() const { return state_->trains; }
Workspace& Model::workspace() { return state_->workspace; }

Parameter& Model::parameter(std::string_view name) {
  if (Parameter* parameter = find(state_->parameters, name)) return *parameter;
  throw Error("ERR_TENSOR_MISSING", "the model has no tensor of this name",
              "a name such as " + state_->parameters.front().spec.name, std::string(name));
}

void Model::load(std::shared_ptr<SafetensorsReader> files) {
  WINNOW_CHECK(!state_->trains && !state_->adapter, "ERR_INTERNAL",
               "weights cannot be loaded into a model that trains or has an adapter");
  require_known_names(*state_, *files);
  const auto is_new = [&](const Parameter& parameter) {
    return &parameter == state_->value_head && !files->contains(parameter.spec.name);
  };
  for (Parameter& parameter : state_->decoder())
    if (!is_new(parameter)) checked_tensor(parameter.spec, *files);
  require_loading_memory(*state_, *files);
  for (Parameter& parameter : state_->decoder()) {
    if (is_new(parameter)) {
      reset_value_head(*state_);
      continue;
    }
    parameter.source = checked_tensor(parameter.spec, *files);
    parameter.value.reset();
    if (is_matrix(parameter.spec)) continue;
    parameter.value = allocate_buffer(state_->context, state_->ops, {parameter.spec.cols});
    upload_as_f32(state_->context, state_->ops, parameter.value.view(), parameter.source);
    parameter.source = parameter.value.view();
  }
  state_->embedding_table.reset();
  device_view(state_->context, state_->ops, state_->embedding->source, state_->embedding_table);
  state_->files = std::move(files);
  pack();
}

void Model::pack() {
  state_->workspace.forget_computed();
  const Reservation reservation(state_->context, state_->ops, missing_packed_bytes(*state_));
  for (Parameter& parameter : state_->parameters)
    if (has_packed_form(*state_, parameter) && (parameter.gradient || !state_->trains) &&
        !parameter.master_rest) {
      pack_weight(*state_, parameter);
      // Products read the packed weight from here on: memory holds one copy of it.
      if (state_->files && !parameter.value) state_->files->let_go(parameter.source);
    }
}

void Model::enable_training(const TrainingForms& forms) {
  if (state_->trains) return;
  TrainingForms own = forms;
  if (state_->adapter) own.masters = MasterForm::kF32;  // an adapter's values are read as they are
  TrainingBytes total{};
  int64_t rounding = 0;
  for (const Parameter& parameter : state_->parameters) {
    if (!state_->may_train(parameter)) continue;
    const TrainingBytes bytes = training_bytes(parameter.spec, state_->dtype, own);
    if (!parameter.value) total.masters += bytes.masters;
    total.gradients += bytes.gradients;
    total.moments += bytes.moments;
    rounding += kTrainingBuffers * kAllocationUnit;
  }
  const int64_t needed = total.masters + total.gradients + total.moments;
  require_memory(state_->context, state_->ops, needed,
                 "masters " + std::to_string(total.masters) + ", gradients " +
                     std::to_string(total.gradients) + ", moments " + std::to_string(total.moments),
                 "train a smaller model, with 8-bit moments or split masters, or free memory");
  const Reservation reservation(state_->context, state_->ops, needed + rounding);
  for (Parameter& parameter : state_->parameters)
    if (state_->may_train(parameter)) allocate_training(*state_, parameter, own);
  if (!state_->adapter) {
    state_->embedding_table.reset();
    state_->files.reset();
  }
  state_->trains = true;
}

}  // namespace winnow
