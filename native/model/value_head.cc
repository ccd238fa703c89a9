// A critic's head: one number a row, in f32 whatever the decoder's format is.
#include "backend/shapes.h"
#include "io/safetensors.h"
#include "model/host_memory.h"
#include "model/model_state.h"

namespace winnow {
namespace {

Parameter& required(const ModelState& state) {
  WINNOW_CHECK(state.value_head, "ERR_VALUE_HEAD", "the model has no value head", "a model with valueHead");
  return *state.value_head;
}

}  // namespace

// From zero the first values are 0 and the first advantages the rewards themselves.
void reset_value_head(ModelState& state) {
  Parameter& head = *state.value_head;
  head.value = allocate_buffer(state.context, state.ops, {head.spec.rows, head.spec.cols});
  state.ops.zero(state.context, head.value.view().data, head.value.view().size_bytes());
  head.source = head.value.view();
}

void Model::value(View values, View hidden) {
  const Parameter& head = required(*state_);
  require_shape("value", "values", values, hidden.rows(), 1);
  state_->ops.linear_forward(state_->context, values, hidden, head.packed, View{}, false);
}

void Model::value_backward(View dhidden, View dvalues, View hidden) {
  Parameter& head = required(*state_);
  WINNOW_CHECK(state_->trains, "ERR_NOT_TRAINING", "the model holds no gradients",
               "a model after enableTraining()");
  state_->ops.linear_backward_weight(state_->context, head.gradient.view(), dvalues, hidden, DType::kF32);
  state_->ops.linear_backward_input(state_->context, dhidden, dvalues, head.packed, false);
}

void Model::save_value_head(const std::string& path) const {
  const Parameter& head = required(*state_);
  std::vector<std::byte> copy;
  const View source =
      head.value ? host_view(state_->context, state_->ops, head.value.view(), copy) : head.source;
  const TensorToWrite tensor{head.spec.name, DType::kF32, {head.spec.rows, head.spec.cols}, source};
  write_safetensors(path, {&tensor, 1}, {{"format", "pt"}});
}

}  // namespace winnow
