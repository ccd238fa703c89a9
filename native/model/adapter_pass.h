// What an adapter adds to a linear layer, forward and backward.
#pragma once

#include "model/model_state.h"

namespace winnow {

// Before a pass over `batch`: its dropout keys, where it has some.
void begin_adapter_pass(ModelState& state, const ForwardBatch& batch);

// Whether `weight` has an adapter that is on.
bool is_adapted(const ModelState& state, const Parameter& weight);
bool has_adapted_feed_forward(const ModelState& state, const LayerParameters& layer);

// out (M, N) acc += s B A dropout(x), x (M, K), where `weight` is adapted.
void adapter_forward(ModelState& state, View out, View x, const Parameter& weight);

// dx (M, K) acc; the gradients of A and B acc. dout (M, N).
void adapter_backward(ModelState& state, View dx, View dout, View x, const Parameter& weight);

}  // namespace winnow
