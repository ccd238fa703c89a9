// The decoder: embedding, then per layer attention and feed-forward onto the residual, then the final norm.
#include <cmath>

#include "backend/shapes.h"
#include "model/model_state.h"

namespace winnow {

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

namespace {

// One forward pass. With activations every array that backward reads lies there, else in the workspace.
class Forward {
 public:
  Forward(ModelState& state, const ForwardBatch& batch, KeyValueStore& store, Activations* activations)
      : state_(state),
        batch_(batch),
        store_(store),
        kept_(activations),
        rows_(static_cast<int64_t>(batch.tokens.size())) {}

  void run(View hidden) {
    upload_rope(state_, batch_, cosine_, sine_);
    slots_ = state_.workspace.upload(Slot::kKeySlots, batch_.slots);
    normed_ = work(Slot::kNormed, state_.config.width);
    residual_ = kept_ ? kept_->layer(0).residual_in : work(Slot::kResidual, state_.config.width);
    embed();
    for (int layer = 0; layer < state_.config.layers; ++layer) {
      attention_block(layer);
      feed_forward_block(layer);
    }
    state_.ops.rms_norm_forward(state_.context, hidden, kept_ ? kept_->final_rstd() : View{}, residual_,
                                state_.final_norm->value.view(), state_.config.norm_epsilon);
  }

 private:
  View work(Slot slot, int64_t width) { return state_.workspace.view(slot, {rows_, width}); }

  void embed() {
    const View tokens = state_.workspace.upload(Slot::kTokens, batch_.tokens);
    state_.ops.embedding_forward(state_.context, residual_, tokens, embedding_table(state_), state_.dtype);
  }

  // What is added next goes to `next`, which backward will read; without activations, in place.
  void move_residual(View next) {
    if (!kept_) return;
    state_.ops.copy(state_.context, next.data, residual_.data, residual_.size_bytes());
    residual_ = next;
  }

  void norm(const Parameter* weight, View rstd) {
    state_.ops.rms_norm_forward(state_.context, normed_, rstd, residual_, weight->value.view(),
                                state_.config.norm_epsilon);
  }

  void linear(View out, View x, const Parameter* weight, const Parameter* bias, bool accumulate) {
    state_.ops.linear_forward(state_.context, out, x, weight->packed, bias_view(bias), accumulate);
  }

  // Projects, normalises per head where the model does, and rotates.
  View project_rotated(const Parameter* weight, const Parameter* bias, const Parameter* head_norm, int heads,
                       View raw, View rstd, View rotated) {
    linear(head_norm ? raw : rotated, normed_, weight, bias, false);
    if (head_norm)
      state_.ops.rms_norm_forward(state_.context, per_head(rotated, heads), rstd, per_head(raw, heads),
                                  head_norm->value.view(), state_.config.norm_epsilon);
    state_.ops.rope(state_.context, split_heads(rotated, heads), cosine_, sine_, false);
    return rotated;
  }

  void attention_block(int index) {
    const LayerParameters& layer = state_.layers[static_cast<size_t>(index)];
    const ModelConfig& config = state_.config;
    LayerActivations none;
    const LayerActivations& kept = kept_ ? kept_->layer(index) : none;
    norm(layer.input_norm, kept.attention_rstd);

    const bool keep_raw = config.qk_norm && kept_;
    View query_raw, key_raw;
    if (config.qk_norm) {
      query_raw = keep_raw ? kept.query : work(Slot::kQueryRaw, state_.query_width());
      key_raw = keep_raw ? kept.key_raw : work(Slot::kKeyRaw, state_.key_width());
    }
    View query = kept_ && !config.qk_norm ? kept.query : work(Slot::kQuery, state_.query_width());
    query = project_rotated(layer.query, layer.query_bias, layer.query_norm, config.heads, query_raw,
                            kept.query_rstd, query);
    const View key =
        project_rotated(layer.key, layer.key_bias, layer.key_norm, config.kv_heads, key_raw, kept.key_rstd,
                        kept.key ? kept.key : work(Slot::kKey, state_.key_width()));
    const View value = kept.value ? kept.value : work(Slot::kValue, state_.key_width());
    linear(value, normed_, layer.value, layer.value_bias, false);

    state_.ops.kv_write(state_.context, store_.layer(index), key, value, slots_);
    const View attended = kept_ ? kept.attended : work(Slot::kAttended, state_.query_width());
    state_.ops.attention_forward(state_.context, attended, kept.lse, query, store_.layer(index), batch_.plan,
                                 attention_scale(config));
    move_residual(kept.residual_mid);
    linear(residual_, attended, layer.output, layer.output_bias, true);
  }

  void feed_forward_block(int index) {
    const LayerParameters& layer = state_.layers[static_cast<size_t>(index)];
    const int64_t width = state_.config.feed_forward;
    LayerActivations none;
    const LayerActivations& kept = kept_ ? kept_->layer(index) : none;
    norm(layer.post_attention_norm, kept.feed_forward_rstd);
    const View gate = kept_ ? kept.gate : work(Slot::kGate, width);
    const View up = kept_ ? kept.up : work(Slot::kUp, width);
    linear(gate, normed_, layer.gate, nullptr, false);
    linear(up, normed_, layer.up, nullptr, false);
    const View activated = work(Slot::kActivated, width);
    state_.ops.swiglu_forward(state_.context, activated, gate, up);
    if (kept_) move_residual(next_residual(index));
    linear(residual_, activated, layer.down, nullptr, true);
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
  View cosine_, sine_, slots_, normed_, residual_;
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

void Model::final_norm(View hidden, ActivationSource& activations) {
  state_->ops.rms_norm_forward(state_->context, hidden, View{}, activations.final_residual(),
                               state_->final_norm->value.view(), config().norm_epsilon);
}

void Model::head(View logits, View hidden) {
  state_->ops.linear_forward(state_->context, logits, hidden, state_->head->packed, View{}, false);
}

}  // namespace winnow
