// Operations that feed products: their checks, and how a backend makes them of their parts.
#pragma once

#include <array>
#include <span>
#include <string>
#include <utility>

#include "backend/ops.h"
#include "backend/shapes.h"

namespace winnow {

inline void require_norm_linear(std::span<const LinearOutput> outputs, View normed, View rstd, View x,
                                View weight) {
  const char* op = "norm_linear_forward";
  const int64_t rows = x.rows(), width = weight.rows();
  WINNOW_CHECK(!outputs.empty(), "ERR_SHAPE", "[norm_linear_forward] no product reads the norm",
               "one or more outputs", "none");
  require_shape(op, "weight", weight, width, 1);
  require_shape(op, "x", x, rows, width);
  require_shape(op, "normed", normed, rows, width);
  if (rstd) require_shape(op, "rstd", rstd, rows, 1);
  const DType dtype = outputs.front().weight.dtype;
  require_product_dtype(op, dtype);
  for (const LinearOutput& output : outputs) {
    WINNOW_CHECK(output.weight.k == width && output.weight.dtype == dtype, "ERR_SHAPE",
                 "[norm_linear_forward] the products do not read the same rows",
                 std::to_string(width) + " inputs in " + name(dtype),
                 std::to_string(output.weight.k) + " inputs in " + name(output.weight.dtype));
    require_shape(op, "out", output.out, rows, output.weight.n);
    if (output.bias) require_shape(op, "bias", output.bias, output.weight.n, 1);
  }
}

inline void require_swiglu_linear(View out, View activated, View gate, View up, const PackedWeight& weight) {
  const char* op = "swiglu_linear_forward";
  const int64_t rows = gate.rows();
  require_product_dtype(op, weight.dtype);
  require_shape(op, "gate", gate, rows, weight.k);
  require_shape(op, "up", up, rows, weight.k);
  require_shape(op, "activated", activated, rows, weight.k);
  require_shape(op, "out", out, rows, weight.n);
}

inline void require_feed_forward(View out, View x, const FeedForwardWeights& weights,
                                 const FeedForwardRoom& room) {
  const std::array outputs{LinearOutput{room.gate, weights.gate, View{}},
                           LinearOutput{room.up, weights.up, View{}}};
  require_norm_linear(outputs, room.normed, View{}, x, weights.norm);
  require_swiglu_linear(out, room.activated, room.gate, room.up, weights.down);
  WINNOW_CHECK(weights.down.dtype == weights.gate.dtype, "ERR_SHAPE",
               "[feed_forward] the weights are not of one format", name(weights.gate.dtype),
               name(weights.down.dtype));
}

inline void require_linear_backward(View dx, std::span<const LinearGradient> gradients, View x) {
  const char* op = "linear_backward";
  WINNOW_CHECK(!gradients.empty(), "ERR_SHAPE", "[linear_backward] no product read x",
               "one or more gradients", "none");
  const int64_t rows = x.rows(), width = gradients.front().weight.k;
  const DType dtype = gradients.front().weight.dtype;
  require_product_dtype(op, dtype);
  require_shape(op, "x", x, rows, width);
  require_shape(op, "dx", dx, rows, width);
  for (const LinearGradient& gradient : gradients) {
    WINNOW_CHECK(gradient.weight.k == width && gradient.weight.dtype == dtype, "ERR_SHAPE",
                 "[linear_backward] the products did not read the same rows",
                 std::to_string(width) + " inputs in " + name(dtype),
                 std::to_string(gradient.weight.k) + " inputs in " + name(gradient.weight.dtype));
    require_shape(op, "dout", gradient.dout, rows, gradient.weight.n);
    if (gradient.dweight) require_shape(op, "dweight", gradient.dweight, gradient.weight.n, width);
  }
}

template <auto kNorm, auto kLinear>
void norm_then_linear(Context& context, std::span<const LinearOutput> outputs, View normed, View rstd, View x,
                      View weight, float epsilon, bool) {
  require_norm_linear(outputs, normed, rstd, x, weight);
  kNorm(context, normed, rstd, x, weight, epsilon);
  for (const LinearOutput& output : outputs)
    kLinear(context, output.out, normed, output.weight, output.bias, false);
}

template <auto kSwiglu, auto kLinear>
void swiglu_then_linear(Context& context, View out, View activated, View gate, View up, PackedWeight weight,
                        bool accumulate, bool) {
  require_swiglu_linear(out, activated, gate, up, weight);
  kSwiglu(context, activated, gate, up);
  kLinear(context, out, activated, weight, View{}, accumulate);
}

template <auto kNormLinear, auto kSwigluLinear>
void feed_forward_of_parts(Context& context, View out, View x, const FeedForwardWeights& weights,
                           const FeedForwardRoom& room) {
  require_feed_forward(out, x, weights, room);
  const std::array outputs{LinearOutput{room.gate, weights.gate, View{}},
                           LinearOutput{room.up, weights.up, View{}}};
  kNormLinear(context, outputs, room.normed, View{}, x, weights.norm, weights.epsilon, false);
  kSwigluLinear(context, out, room.activated, room.gate, room.up, weights.down, true, false);
}

inline void require_feed_forward_backward(View dnormed, const FeedForwardGradients& dweights, View dout,
                                          View normed, View gate, View up, const FeedForwardWeights& weights,
                                          View activated, View dactivated) {
  const char* op = "feed_forward_backward";
  const int64_t rows = dout.rows(), width = weights.gate.k, inner = weights.gate.n;
  require_product_dtype(op, weights.gate.dtype);
  for (const PackedWeight* weight : {&weights.up, &weights.down}) {
    const bool down = weight == &weights.down;
    WINNOW_CHECK(weight->dtype == weights.gate.dtype && weight->n == (down ? width : inner) &&
                     weight->k == (down ? inner : width),
                 "ERR_SHAPE", "[feed_forward_backward] the weights are not of one block");
  }
  const auto require = [&](const char* argument, View view, int64_t cols) {
    require_shape(op, argument, view, rows, cols);
  };
  require("dnormed", dnormed, width);
  require("dout", dout, width);
  require("normed", normed, width);
  require("gate", gate, inner);
  require("up", up, inner);
  require("activated", activated, inner);
  require("dactivated", dactivated, inner);
  if (dweights.gate) require_shape(op, "dgate", dweights.gate, inner, width);
  if (dweights.up) require_shape(op, "dup", dweights.up, inner, width);
  if (dweights.down) require_shape(op, "ddown", dweights.down, width, inner);
}

template <auto kBackwardInput, auto kBackwardWeight>
void linear_backward_of_parts(Context& context, View dx, std::span<const LinearGradient> gradients, View x) {
  require_linear_backward(dx, gradients, x);
  bool accumulate = false;
  for (const LinearGradient& gradient : gradients) {
    if (gradient.dweight) kBackwardWeight(context, gradient.dweight, gradient.dout, x, gradient.weight.dtype);
    kBackwardInput(context, dx, gradient.dout, gradient.weight, std::exchange(accumulate, true));
  }
}

template <auto kSwiglu, auto kSwigluBackward, auto kBackwardInput, auto kBackwardWeight>
void feed_forward_backward_of_parts(Context& context, View dnormed, const FeedForwardGradients& dweights,
                                    View dout, View normed, View gate, View up,
                                    const FeedForwardWeights& weights, View activated, View dactivated) {
  require_feed_forward_backward(dnormed, dweights, dout, normed, gate, up, weights, activated, dactivated);
  const DType dtype = weights.gate.dtype;
  kSwiglu(context, activated, gate, up);
  if (dweights.down) kBackwardWeight(context, dweights.down, dout, activated, dtype);
  kBackwardInput(context, dactivated, dout, weights.down, false);
  kSwigluBackward(context, gate, up, dactivated, gate, up);
  const std::array gradients{LinearGradient{gate, weights.gate, dweights.gate},
                             LinearGradient{up, weights.up, dweights.up}};
  linear_backward_of_parts<kBackwardInput, kBackwardWeight>(context, dnormed, gradients, normed);
}

}  // namespace winnow
