// The decoder: embedding, then per layer attention and feed-forward onto the residual, then the final norm.
#include <atomic>
#include <cmath>

#include "backend/shapes.h"
#include "model/adapter_pass.h"
#include "model/model_state.h"

namespace winnow {

uint64_t new_pass() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

View embedding_table(const ModelState& state) {
  View table = state.embedding->source;
  if (state.embedding_table) table.data = state.embedding_table.view().data;
  return table;
}

void upload_rope(ModelState& state, const ForwardBatch& batch, View& cosine, View& sine) {
  state.rope.gather(batch.positions, state.cosine, state.sine);
  const auto rows = static_cast<int64_t>(batch.positions.size());
  cosine = state.workspace.upload(Slot::kCosine, state.cosine, {rows, state.config.head_dim / 2});
  sine = state.workspace.upload(Slot::kSine, state.sine, {rows, state.config.head_dim / 2});
}

View per_head(View x, int64_t heads) { return View(x.data, x.dtype, {x.rows() * heads, x.cols() / heads}); }

View split_heads(View x, int64_t heads) { return View(x.data, x.dtype, {x.rows(), heads, x.cols() / heads}); }

float attention_scale(const ModelConfig& config) {
  return 1.0f / std::sqrt(static_cast<float>(config.head_dim));
}

FeedForwardWeights feed_forward_weights(const ModelState& state, const LayerParameters& layer) {
  return {layer.post_attention_norm->value.view(), state.config.norm_epsilon, layer.gate->packed,
          layer.up->packed, layer.down->packed};
}

namespace {

// One forward pass. What there are activations for lies there, where backward reads it; the rest in the
// workspace.
class Forward {
 public:
  Forward(ModelState& state, const ForwardBatch& batch, KeyValueStore& store, Activations* activations)
      : state_(state),
        batch_(batch),
        store_(store),
        kept_(activations),
        rows_(static_cast<int64_t>(batch.tokens.size())) {}

  void run(View hidden) {
    begin();
    residual_ = kept_ ? kept_->layer(0).residual_in : work(Slot::kResidual, state_.config.width);
    embed();
    for (int layer = 0; layer < state_.config.layers; ++layer) {
      const LayerActivations kept = kept_ ? kept_->layer(layer) : LayerActivations{};
      attention_block(layer, kept);
      feed_forward_block(layer, kept);
    }
    state_.ops.rms_norm_forward(state_.context, hidden, kept_ ? kept_->final_rstd() : View{}, residual_,
                                state_.final_norm->value.view(), state_.config.norm_epsilon);
  }

  // What does not change from layer to layer.
  void begin() {
    upload_rope(state_, batch_, cosine_, sine_);
    begin_adapter_pass(state_, batch_);
    slots_ = state_.workspace.upload(Slot::kKeySlots, batch_.slots);
    normed_ = work(Slot::kNormed, state_.config.width);
  }

  // One layer again, from its input up to what backward reads of it.
  void recompute(int index, const LayerActivations& kept) {
    residual_ = kept.residual_in;
    attention_block(index, kept);
    gate_and_up(index, kept);
  }

 private:
  View work(Slot slot, int64_t width) { return state_.workspace.rows_view(slot, rows_, width); }

  void embed() {
    const View tokens = state_.workspace.upload(Slot::kTokens, batch_.tokens);
    state_.ops.embedding_forward(state_.context, residual_, tokens, embedding_table(state_), state_.dtype);
  }

  // What is added next goes to `next`, so that the sum up to here stays where it is.
  void move_residual(View next) {
    if (next.data == residual_.data) return;
    state_.ops.copy(state_.context, next.data, residual_.data, residual_.size_bytes());
    residual_ = next;
  }

  void linear(View out, View x, const Parameter* weight, const Parameter* bias, bool accumulate) {
    state_.ops.linear_forward(state_.context, out, x, weight->packed, bias_view(bias), accumulate);
    adapter_forward(state_, out, x, *weight);
  }

  struct Projection {
    View out;
    const Parameter *weight, *bias;
  };
  // The norm of the residual, and the projections that read it.
  void project(const Parameter* norm, View rstd, std::initializer_list<Projection> projections) {
    std::vector<LinearOutput> outputs;
    bool adapted = false;
    for (const Projection& p : projections) {
      outputs.push_back({p.out, p.weight->packed, bias_view(p.bias)});
      adapted = adapted || is_adapted(state_, *p.weight);
    }
    state_.ops.norm_linear_forward(state_.context, outputs, normed_, rstd, residual_, norm->value.view(),
                                   state_.config.norm_epsilon, adapted);
    for (const Projection& p : projections) adapter_forward(state_, p.out, normed_, *p.weight);
  }

  void norm_heads(View out, View rstd, View raw, const Parameter* weight, int heads) {
    state_.ops.rms_norm_forward(state_.context, per_head(out, heads), rstd, per_head(raw, heads),
                                weight->value.view(), state_.config.norm_epsilon);
  }

  void attention_block(int index, const LayerActivations& kept) {
    const LayerParameters& layer = state_.layers[static_cast<size_t>(index)];
    const ModelConfig& config = state_.config;
    const View key = kept.key ? kept.key : work(Slot::kKey, state_.key_width());
    const View value = kept.value ? kept.value : work(Slot::kValue, state_.key_width());
    // What is kept of a query is what its projection gave.
    View query = kept.query ? kept.query : work(Slot::kQueryRaw, state_.query_width());
    View key_raw = !config.qk_norm ? key
                   : kept.key_raw  ? kept.key_raw
                                   : work(Slot::kKeyRaw, state_.key_width());
    project(layer.input_norm, kept.attention_rstd,
            {{query, layer.query, layer.query_bias},
             {key_raw, layer.key, layer.key_bias},
             {value, layer.value, layer.value_bias}});
    if (config.qk_norm) {
      const View raw = query;
      query = work(Slot::kQuery, state_.query_width());
      norm_heads(query, kept.query_rstd, raw, layer.query_norm, config.heads);
      norm_heads(key, kept.key_rstd, key_raw, layer.key_norm, config.kv_heads);
    }

    state_.ops.rope_kv_write(state_.context, store_.layer(index), query, key, value, slots_, cosine_, sine_);
    const View attended = kept.attended ? kept.attended : work(Slot::kAttended, state_.query_width());
    state_.ops.attention_forward(state_.context, attended, kept.lse, query, store_.layer(index), batch_.plan,
                                 attention_scale(config), pass_);
    move_residual(kept.residual_mid ? kept.residual_mid : work(Slot::kResidual, config.width));
    linear(residual_, attended, layer.output, layer.output_bias, true);
  }

  struct GateAndUp {
    View gate, up;
  };
  GateAndUp gate_and_up(int index, const LayerActivations& kept) {
    const LayerParameters& layer = state_.layers[static_cast<size_t>(index)];
    const int64_t width = state_.config.feed_forward;
    const View gate = kept.gate ? kept.gate : work(Slot::kGate, width);
    const View up = kept.up ? kept.up : work(Slot::kUp, width);
    project(layer.post_attention_norm, kept.feed_forward_rstd,
            {{gate, layer.gate, nullptr}, {up, layer.up, nullptr}});
    return {gate, up};
  }

  void feed_forward_block(int index, const LayerActivations& kept) {
    const LayerParameters& layer = state_.layers[static_cast<size_t>(index)];
    const Parameter& down = *layer.down;
    const View activated = work(Slot::kActivated, state_.config.feed_forward);
    if (kept_) move_residual(next_residual(index));
    if (!kept.gate && !has_adapted_feed_forward(state_, layer)) {
      state_.ops.feed_forward(state_.context, residual_, residual_, feed_forward_weights(state_, layer),
                              {normed_, work(Slot::kGate, state_.config.feed_forward),
                               work(Slot::kUp, state_.config.feed_forward), activated});
      return;
    }
    const auto [gate, up] = gate_and_up(index, kept);
    state_.ops.swiglu_linear_forward(state_.context, residual_, activated, gate, up, down.packed, true,
                                     is_adapted(state_, down));
    adapter_forward(state_, residual_, activated, down);
  }

  View next_residual(int index) const {
    const bool last = index + 1 == state_.config.layers;
    return last ? kept_->final_residual() : kept_->layer(index + 1).residual_in;
  }

  ModelState& state_;
  const ForwardBatch& batch_;
  KeyValueStore& store_;
  Activations* kept_;
  int64_t rows_;
  uint64_t pass_ = new_pass();
  View cosine_, sine_, slots_, normed_, residual_;
};

// The layers of a pass that kept their inputs, done again one by one (Chen et al. 2016, "Training Deep Nets
// with Sublinear Memory Cost"). Kernels give a row the same bits whenever they are run, so the gradient has
// the same bits as well.
class RecomputedLayers final : public ActivationSource {
 public:
  RecomputedLayers(ModelState& state, const ForwardBatch& batch, KeyValueStore& store, Activations& inputs,
                   Activations& one_layer)
      : forward_(state, batch, store, nullptr), inputs_(inputs), one_layer_(one_layer) {
    forward_.begin();
  }

  int64_t rows() const override { return inputs_.rows(); }
  const LayerActivations& layer(int index) override {
    layer_ = one_layer_.layer(0);
    layer_.residual_in = inputs_.layer(index).residual_in;
    forward_.recompute(index, layer_);
    return layer_;
  }
  View final_residual() override { return inputs_.final_residual(); }
  View final_rstd() override { return inputs_.final_rstd(); }

 private:
  Forward forward_;
  Activations &inputs_, &one_layer_;
  LayerActivations layer_;
};

}  // namespace

void Model::forward(const ForwardBatch& batch, KeyValueStore& store, View hidden, Activations* activations) {
  const auto rows = static_cast<int64_t>(batch.tokens.size());
  require_shape("forward", "hidden", hidden, rows, config().width);
  if (activations)
    WINNOW_CHECK(activations->rows() == rows, "ERR_INTERNAL", "the activations are bound to another batch");
  if (rows == 0) return;
  Forward(*state_, batch, store, activations).run(hidden);
}

std::unique_ptr<ActivationSource> Model::recomputed(const ForwardBatch& batch, KeyValueStore& store,
                                                    Activations& inputs, Activations& one_layer) {
  WINNOW_CHECK(inputs.rows() == one_layer.rows(), "ERR_INTERNAL", "the activations belong to another batch");
  return std::make_unique<RecomputedLayers>(*state_, batch, store, inputs, one_layer);
}

void Model::final_norm(View hidden, ActivationSource& activations) {
  state_->ops.rms_norm_forward(state_->context, hidden, View{}, activations.final_residual(),
                               state_->final_norm->value.view(), config().norm_epsilon);
}

void Model::head(View logits, View hidden) {
  state_->ops.linear_forward(state_->context, logits, hidden, state_->head->packed, View{}, false);
}

}  // namespace winnow
