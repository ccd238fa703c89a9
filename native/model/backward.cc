// The decoder's gradient: the steps of forward.cc mirrored, last first.
#include "backend/shapes.h"
#include "model/adapter_pass.h"
#include "model/model_state.h"

namespace winnow {
namespace {

class Backward {
 public:
  Backward(ModelState& state, const ForwardBatch& batch, KeyValueStore& store, View dresidual,
           ActivationSource& activations)
      : state_(state),
        batch_(batch),
        store_(store),
        kept_(activations),
        rows_(static_cast<int64_t>(batch.tokens.size())),
        dresidual_(dresidual) {}

  void run() {
    upload_rope(state_, batch_, cosine_, sine_);
    begin_adapter_pass(state_, batch_);
    normed_ = work(Slot::kNormed, state_.config.width);
    dnormed_ = work(Slot::kNormedGradient, state_.config.width);
    state_.ops.rms_norm_backward(state_.context, dresidual_, state_.final_norm->gradient.view(), dresidual_,
                                 kept_.final_residual(), kept_.final_rstd(), state_.final_norm->value.view(),
                                 false);
    for (int layer = state_.config.layers - 1; layer >= 0; --layer) {
      const LayerActivations& kept = kept_.layer(layer);
      feed_forward_block(layer, kept);
      attention_block(layer, kept);
    }
    embed();
  }

 private:
  View work(Slot slot, int64_t width) { return state_.workspace.rows_view(slot, rows_, width); }

  void recompute_norm(const Parameter* weight, View residual) {
    state_.ops.rms_norm_forward(state_.context, normed_, View{}, residual, weight->value.view(),
                                state_.config.norm_epsilon);
  }

  void norm(Parameter* weight, View residual, View rstd) {
    state_.ops.rms_norm_backward(state_.context, dresidual_, weight->gradient.view(), dnormed_, residual,
                                 rstd, weight->value.view(), true);
  }

  struct Projection {
    View dout;
    Parameter* weight;
    Parameter* bias;
  };
  void linear(View dx, std::initializer_list<Projection> projections, View x) {
    std::vector<LinearGradient> gradients;
    for (const auto& [dout, weight, bias] : projections) {
      gradients.push_back({dout, weight->packed, weight->gradient.view()});
      if (bias && bias->gradient) state_.ops.bias_backward(state_.context, bias->gradient.view(), dout);
    }
    state_.ops.linear_backward(state_.context, dx, gradients, x);
    for (const Projection& projection : projections)
      adapter_backward(state_, dx, projection.dout, x, *projection.weight);
  }

  void feed_forward_block(int index, const LayerActivations& kept) {
    const LayerParameters& layer = state_.layers[static_cast<size_t>(index)];
    const View activated = work(Slot::kActivated, state_.config.feed_forward);
    const View dactivated = work(Slot::kGate, state_.config.feed_forward);
    if (!has_adapted_feed_forward(state_, layer)) {
      recompute_norm(layer.post_attention_norm, kept.residual_mid);
      state_.ops.feed_forward_backward(
          state_.context, dnormed_,
          {layer.gate->gradient.view(), layer.up->gradient.view(), layer.down->gradient.view()}, dresidual_,
          normed_, kept.gate, kept.up, feed_forward_weights(state_, layer), activated, dactivated);
      norm(layer.post_attention_norm, kept.residual_mid, kept.feed_forward_rstd);
      return;
    }
    state_.ops.swiglu_forward(state_.context, activated, kept.gate, kept.up);
    linear(dactivated, {{dresidual_, layer.down, nullptr}}, activated);
    // gate and up are read for the last time: their gradients take their place.
    state_.ops.swiglu_backward(state_.context, kept.gate, kept.up, dactivated, kept.gate, kept.up);
    recompute_norm(layer.post_attention_norm, kept.residual_mid);
    linear(dnormed_, {{kept.gate, layer.gate, nullptr}, {kept.up, layer.up, nullptr}}, normed_);
    norm(layer.post_attention_norm, kept.residual_mid, kept.feed_forward_rstd);
  }

  // The rotated queries: kept, or made again from the raw ones.
  View rotated_query(const LayerParameters& layer, const LayerActivations& kept) {
    if (!layer.query_norm) return kept.query;
    const View query = work(Slot::kQuery, state_.query_width());
    state_.ops.rms_norm_forward(state_.context, per_head(query, state_.config.heads), View{},
                                per_head(kept.query, state_.config.heads), layer.query_norm->value.view(),
                                state_.config.norm_epsilon);
    state_.ops.rope(state_.context, split_heads(query, state_.config.heads), cosine_, sine_, false);
    return query;
  }

  // Back through the rotation and the per-head norm, in place.
  void unrotate(View dx, Parameter* head_norm, int heads, View raw, View rstd) {
    state_.ops.rope(state_.context, split_heads(dx, heads), cosine_, sine_, true);
    if (head_norm)
      state_.ops.rms_norm_backward(state_.context, per_head(dx, heads), head_norm->gradient.view(),
                                   per_head(dx, heads), per_head(raw, heads), rstd, head_norm->value.view(),
                                   false);
  }

  void attention_block(int index, const LayerActivations& kept) {
    const LayerParameters& layer = state_.layers[static_cast<size_t>(index)];
    const ModelConfig& config = state_.config;
    const View dattended = work(Slot::kAttended, state_.query_width());
    linear(dattended, {{dresidual_, layer.output, layer.output_bias}}, kept.attended);

    const View dquery = work(Slot::kQueryGradient, state_.query_width());
    const View dkey = work(Slot::kKeyGradient, state_.key_width());
    const View dvalue = work(Slot::kValueGradient, state_.key_width());
    state_.ops.attention_backward(state_.context, dquery, dkey, dvalue, dattended, kept.attended,
                                  rotated_query(layer, kept), kept.lse, store_.layer(index), batch_.plan,
                                  attention_scale(config), pass_);
    unrotate(dquery, layer.query_norm, config.heads, kept.query, kept.query_rstd);
    unrotate(dkey, layer.key_norm, config.kv_heads, kept.key_raw, kept.key_rstd);

    recompute_norm(layer.input_norm, kept.residual_in);
    linear(dnormed_,
           {{dquery, layer.query, layer.query_bias},
            {dkey, layer.key, layer.key_bias},
            {dvalue, layer.value, layer.value_bias}},
           normed_);
    norm(layer.input_norm, kept.residual_in, kept.attention_rstd);
  }

  void embed() {
    if (!state_.embedding->gradient) return;
    const View tokens = state_.workspace.upload(Slot::kTokens, batch_.tokens);
    state_.ops.embedding_backward(state_.context, state_.embedding->gradient.view(), dresidual_, tokens);
  }

  ModelState& state_;
  const ForwardBatch& batch_;
  KeyValueStore& store_;
  ActivationSource& kept_;
  int64_t rows_;
  uint64_t pass_ = new_pass();
  View dresidual_, cosine_, sine_, normed_, dnormed_;
};

}  // namespace

void Model::backward(const ForwardBatch& batch, KeyValueStore& store, View dhidden,
                     ActivationSource& activations) {
  const auto rows = static_cast<int64_t>(batch.tokens.size());
  require_shape("backward", "dhidden", dhidden, rows, config().width);
  WINNOW_CHECK(trains(), "ERR_NOT_TRAINING", "the model holds no gradients",
               "a model after enableTraining()");
  WINNOW_CHECK(activations.rows() == rows, "ERR_INTERNAL", "the activations belong to another batch");
  if (rows == 0) return;
  Backward(*state_, batch, store, dhidden, activations).run();
}

void Model::head_backward(View dhidden, View dlogits, View hidden) {
  ModelState& state = *state_;
  WINNOW_CHECK(state.trains, "ERR_NOT_TRAINING", "the model holds no gradients",
               "a model after enableTraining()");
  const LinearGradient gradient{dlogits, state.head->packed, state.head->gradient.view()};
  state.ops.linear_backward(state.context, dhidden, {&gradient, 1}, hidden);
}

}  // namespace winnow
