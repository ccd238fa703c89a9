// With u = A dropout(x) and t = s u:  y += B t;  dB += dy t^T,  du = s B^T dy,  dA += du dropout(x)^T,
// dx += dropout(A^T du). Products are in f32, whatever the format of the frozen weights.
#include "model/adapter_pass.h"

namespace winnow {
namespace {

class AdaptedLayer {
 public:
  AdaptedLayer(ModelState& state, const Parameter& weight)
      : state_(state), a_(*weight.adapter_a), b_(*weight.adapter_b), drops_(state.dropout_keys) {
    options_.probability = state.adapter->dropout;
    options_.stream = static_cast<uint32_t>(&weight - state.parameters.data());
  }

  void forward(View out, View x) { linear(out, scaled_product(dropped(x)), b_, true); }

  void backward(View dx, View dout, View x) {
    const View input = dropped(x);
    const View product = scaled_product(input);
    accumulate_gradient(b_, dout, product);
    const View dproduct = state_.workspace.view(Slot::kAdapterGradient, {x.rows(), a_.spec.rows});
    state_.ops.linear_backward_input(state_.context, dproduct, dout, b_.packed, false);
    state_.ops.scale(state_.context, dproduct, state_.adapter_scale);
    accumulate_gradient(a_, dproduct, input);
    if (!drops_) {
      state_.ops.linear_backward_input(state_.context, dx, dproduct, a_.packed, true);
      return;
    }
    // The dropped input is not read again: its gradient takes its place.
    state_.ops.linear_backward_input(state_.context, input, dproduct, a_.packed, false);
    state_.ops.dropout(state_.context, dx, input, state_.dropout_keys, options_, true);
  }

 private:
  View dropped(View x) {
    if (!drops_) return x;
    const View out = state_.workspace.view(Slot::kAdapterInput, {x.rows(), x.cols()});
    state_.ops.dropout(state_.context, out, x, state_.dropout_keys, options_, false);
    return out;
  }

  View scaled_product(View input) {
    const View product = state_.workspace.view(Slot::kAdapterProduct, {input.rows(), a_.spec.rows});
    linear(product, input, a_, false);
    state_.ops.scale(state_.context, product, state_.adapter_scale);
    return product;
  }

  void linear(View out, View x, const Parameter& matrix, bool accumulate) {
    state_.ops.linear_forward(state_.context, out, x, matrix.packed, View{}, accumulate);
  }

  void accumulate_gradient(const Parameter& matrix, View dout, View x) {
    if (!matrix.gradient) return;
    state_.ops.linear_backward_weight(state_.context, matrix.gradient.view(), dout, x, DType::kF32);
  }

  ModelState& state_;
  const Parameter &a_, &b_;
  bool drops_;
  DropoutOptions options_;
};

}  // namespace

bool is_adapted(const ModelState& state, const Parameter& weight) {
  return weight.adapter_a && state.adapter_on;
}

bool has_adapted_feed_forward(const ModelState& state, const LayerParameters& layer) {
  return is_adapted(state, *layer.gate) || is_adapted(state, *layer.up) || is_adapted(state, *layer.down);
}

void begin_adapter_pass(ModelState& state, const ForwardBatch& batch) {
  state.dropout_keys = View{};
  if (batch.dropout_keys.empty()) return;
  state.dropout_keys = state.workspace.upload(Slot::kDropoutKeys, batch.dropout_keys);
  state.dropout_keys.rank = 2;
  state.dropout_keys.shape[0] = static_cast<int64_t>(batch.tokens.size());
  state.dropout_keys.shape[1] = 2;
}

void adapter_forward(ModelState& state, View out, View x, const Parameter& weight) {
  if (is_adapted(state, weight)) AdaptedLayer(state, weight).forward(out, x);
}

void adapter_backward(ModelState& state, View dx, View dout, View x, const Parameter& weight) {
  if (is_adapted(state, weight)) AdaptedLayer(state, weight).backward(dx, dout, x);
}

}  // namespace winnow
