// How an operation reaches the device.
#pragma once

#include <vector>

#include "backend/cuda/loader.h"
#include "backend/ops.h"
#include "backend/shapes.h"

namespace winnow::cuda {

// body(table, device) -> Status, with the context's device to itself; throws for a Status other than kOk.
template <typename Body>
void call(const Context& context, const Body& body) {
  OpenDevice& open = open_device(context.device);
  const std::lock_guard lock(open.mutex);
  require_ok(open, open.table->enter(open.device));
  require_ok(open, body(*open.table, open.device));
}

// `view` has rows x cols numbers of f32, bf16 or f16.
void require_numbers(const char* op, const char* argument, const View& view, int64_t rows, int64_t cols);

size_t packed_weight_bytes(int64_t n, int64_t k, DType dtype);
void pack_weight(Context&, PackedWeight weight, View source);
void linear_forward(Context&, View out, View x, PackedWeight weight, View bias, bool accumulate);
void linear_backward_input(Context&, View dx, View dout, PackedWeight weight, bool accumulate);
void linear_backward_weight(Context&, View dweight, View dout, View x, DType dtype);
void bias_backward(Context&, View dbias, View dout);

// The operations on the token forest.
void kv_write(Context&, KeyValueLayer layer, View k, View v, View slots);
void rope_kv_write(Context&, KeyValueLayer layer, View q, View k, View v, View slots, View cosine, View sine);
void attention_forward(Context&, View out, View lse, View q, KeyValueLayer layer, const AttentionPlan& plan,
                       float scale, uint64_t pass);
void attention_backward(Context&, View dq, View dk, View dv, View dout, View out, View q, View lse,
                        KeyValueLayer layer, const AttentionPlan& plan, float scale, uint64_t pass);
// The operations on logits and log-probabilities.
void softmax_statistics(Context&, View lse, View logprob, View entropy, View logits, View targets,
                        float inverse_temperature);
void softmax_backward(Context&, View logits, View lse, View entropy, View targets, View dlogprob,
                      View dentropy, float inverse_temperature);
PolicyLossSums policy_loss(Context&, View dlogprob, View dentropy, View logprob, View old_logprob,
                           View reference_logprob, View advantage, View weight, View entropy,
                           PolicyLossOptions options);
void sample(Context&, View tokens, View logprob, View logits, const SampleRow* rows);
// The optimizer's operations.
double squared_norm(Context&, View x);
void adamw(Context&, View value, View moment1, View moment2, View gradient, AdamwOptions options);
void adamw_8bit(Context&, View value, QuantisedMoments moments, View gradient, AdamwOptions options);
void pack_master(Context&, PackedWeight weight, View rest, View value, int64_t first_row);
void unpack_master(Context&, View value, PackedWeight weight, View rest, int64_t first_row);

}  // namespace winnow::cuda
