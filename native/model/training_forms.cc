// How a tensor that trains is kept: its master, its gradient and its moments.
#include <algorithm>

#include "io/safetensors.h"
#include "model/host_memory.h"
#include "model/model_state.h"

namespace winnow {
namespace {

bool is_vector(const ParameterSpec& spec) {
  return spec.kind == ParameterKind::kNorm || spec.kind == ParameterKind::kBias;
}

// Embeddings are read row by row in f32 as well, and small tensors are not worth it.
bool master_is_packed(const ParameterSpec& spec, const TrainingForms& forms) {
  return forms.masters == MasterForm::kPacked && spec.kind == ParameterKind::kLinear;
}

bool moments_in_8_bits(const ParameterSpec& spec, const TrainingForms& forms) {
  const bool large = spec.kind == ParameterKind::kLinear || spec.kind == ParameterKind::kEmbedding;
  return forms.moments == MomentForm::k8Bit && large;
}

int64_t moment_blocks(const ParameterSpec& spec) {
  return (spec.rows * spec.cols + kMomentBlock - 1) / kMomentBlock;
}

Buffer zeros(ModelState& state, const ParameterSpec& spec, DType dtype) {
  Buffer buffer = is_vector(spec) ? allocate_buffer(state.context, state.ops, {spec.cols}, dtype)
                                  : allocate_buffer(state.context, state.ops, {spec.rows, spec.cols}, dtype);
  state.ops.zero(state.context, buffer.view().data, buffer.view().size_bytes());
  return buffer;
}

void move_master_into_packed(ModelState& state, Parameter& parameter) {
  const ParameterSpec& spec = parameter.spec;
  parameter.master_rest =
      allocate_buffer(state.context, state.ops,
                      {spec.rows, master_rest_bytes(spec.cols, parameter.packed.dtype)}, DType::kU8);
  for (int64_t first = 0; first < spec.rows; first += kMasterChunkRows) {
    const int64_t count = std::min(kMasterChunkRows, spec.rows - first);
    View value = state.workspace.view(Slot::kMasters, {count, spec.cols});
    if (parameter.value)
      value = parameter.value.view().slice_rows(first, count);
    else
      upload_as_f32(state.context, state.ops, value, parameter.source.slice_rows(first, count));
    state.ops.pack_master(state.context, parameter.packed, parameter.master_rest.view(), value, first);
  }
  parameter.value.reset();
  parameter.source = View{};
}

}  // namespace

TrainingBytes training_bytes(const ParameterSpec& spec, DType dtype, const TrainingForms& forms) {
  const int64_t count = spec.rows * spec.cols, floats = count * static_cast<int64_t>(sizeof(float));
  TrainingBytes bytes{floats, floats, 2 * floats};
  if (master_is_packed(spec, forms)) bytes.masters = spec.rows * master_rest_bytes(spec.cols, dtype);
  if (moments_in_8_bits(spec, forms))
    bytes.moments = 2 * (count + moment_blocks(spec) * static_cast<int64_t>(sizeof(float)));
  return bytes;
}

void allocate_training(ModelState& state, Parameter& parameter, const TrainingForms& forms) {
  const ParameterSpec& spec = parameter.spec;
  WINNOW_CHECK(parameter.source, "ERR_INTERNAL", "the model has no weights yet");
  const View loaded = parameter.source;
  if (master_is_packed(spec, forms)) {
    move_master_into_packed(state, parameter);
  } else if (!parameter.value) {
    parameter.value = allocate_buffer(state.context, state.ops, {spec.rows, spec.cols});
    upload_as_f32(state.context, state.ops, parameter.value.view(), parameter.source);
    parameter.source = parameter.value.view();
  }
  // Else the whole file would be in memory beside all that is made of it.
  if (state.files) state.files->let_go(loaded);
  parameter.gradient = zeros(state, spec, DType::kF32);
  const bool small = moments_in_8_bits(spec, forms);
  for (Buffer* moment : {&parameter.moment1, &parameter.moment2})
    *moment = zeros(state, spec, small ? DType::kU8 : DType::kF32);
  if (!small) return;
  for (Buffer* scale : {&parameter.moment1_scale, &parameter.moment2_scale}) {
    *scale = allocate_buffer(state.context, state.ops, {moment_blocks(spec)});
    state.ops.zero(state.context, scale->view().data, scale->view().size_bytes());
  }
}

namespace {

View unpacked(ModelState& state, const Parameter& parameter, int64_t first, int64_t count) {
  const View value = state.workspace.view(Slot::kMasters, {count, parameter.spec.cols});
  state.ops.unpack_master(state.context, value, parameter.packed, parameter.master_rest.view(), first);
  return value;
}

}  // namespace

View host_values(ModelState& state, const Parameter& parameter, std::vector<std::byte>& storage) {
  if (!parameter.master_rest) return host_view(state.context, state.ops, parameter.value.view(), storage);
  const ParameterSpec& spec = parameter.spec;
  storage.resize(static_cast<size_t>(spec.rows * spec.cols) * sizeof(float));
  const View host(storage.data(), DType::kF32, {spec.rows, spec.cols});
  for (int64_t first = 0; first < spec.rows; first += kMasterChunkRows) {
    const View value = unpacked(state, parameter, first, std::min(kMasterChunkRows, spec.rows - first));
    state.ops.download(state.context, host.slice_rows(first, value.rows()).data, value.data,
                       value.size_bytes());
  }
  return host;
}

View Model::unpack_masters(const Parameter& parameter, int64_t first, int64_t count) const {
  return unpacked(*state_, parameter, first, count);
}

void Model::pack_masters(Parameter& parameter, View value, int64_t first) {
  state_->workspace.forget_computed();
  state_->ops.pack_master(state_->context, parameter.packed, parameter.master_rest.view(), value, first);
}

View Model::host_values(const Parameter& parameter, std::vector<std::byte>& storage) const {
  return winnow::host_values(*state_, parameter, storage);
}

}  // namespace winnow
