// The functions behind reference_ops(), and how they read and write numbers.
//
// The reference is the definition of every operation: plain loops over the formula in the order it is
// written, double accumulation, one rounding to f32 at the end, no threads, no intrinsics. The other
// backends are tested against it; it is never optimised. Its packed weight is the row-major (N, K)
// source rounded to the weight's dtype.
#pragma once

#include "backend/ops.h"
#include "backend/shapes.h"

namespace winnow::reference {

// Element `index` of a dense view, bounds-checked in debug builds.
inline float& at(const View& view, int64_t index) {
  WINNOW_DCHECK(view.dtype == DType::kF32 && index >= 0 && index < view.size());
  return view.as<float>()[index];
}
// An index operand (token, target, row, slot), after require_indices.
inline int64_t index_at(const View& view, int64_t index) {
  WINNOW_DCHECK(view.dtype == DType::kI32 && index >= 0 && index < view.size());
  return view.as<int32_t>()[index];
}
inline void require_indices(const char* op, const char* argument, const View& indices, int64_t extent) {
  for (int64_t m = 0; m < indices.size(); ++m)
    if (index_at(indices, m) < 0 || index_at(indices, m) >= extent)
      throw Error(
          "ERR_INDEX_RANGE",
          std::string("[") + op + "] " + argument + " of row " + std::to_string(m) + " is out of range",
          "0 to " + std::to_string(extent - 1), std::to_string(index_at(indices, m)));
}
// Element `index` of a view of any number format.
inline float any_at(const View& view, int64_t index) {
  WINNOW_DCHECK(index >= 0 && index < view.size());
  if (view.dtype == DType::kBF16) return bf16_to_f32(view.as<bf16>()[index]);
  if (view.dtype == DType::kF16) return f16_to_f32(view.as<f16>()[index]);
  return view.as<float>()[index];
}
inline float rounded(float value, DType dtype) {
  return dtype == DType::kBF16 ? round_to_bf16(value) : value;
}
// `view` has rows x cols numbers of f32, bf16 or f16.
inline void require_numbers(const char* op, const char* argument, const View& view, int64_t rows,
                            int64_t cols) {
  const bool half = view.dtype == DType::kBF16 || view.dtype == DType::kF16;
  require_shape(op, argument, view, rows, cols, half ? view.dtype : DType::kF32);
}

void* allocate(Context&, size_t size_bytes);
void release(Context&, void* data);
void upload(Context&, void* device, const void* host, size_t size_bytes);
void download(Context&, void* host, const void* device, size_t size_bytes);
void copy(Context&, void* to, const void* from, size_t size_bytes);
void zero(Context&, void* data, size_t size_bytes);
int64_t available_bytes(Context&);
void reserve(Context&, size_t size_bytes);

size_t packed_weight_bytes(int64_t n, int64_t k, DType dtype);
void pack_weight(Context&, PackedWeight weight, View source);
void linear_forward(Context&, View out, View x, PackedWeight weight, View bias, bool accumulate);
void linear_backward_input(Context&, View dx, View dout, PackedWeight weight, bool accumulate);
void linear_backward_weight(Context&, View dweight, View dout, View x, DType dtype);
void bias_backward(Context&, View dbias, View dout);

void embedding_forward(Context&, View out, View tokens, View table, DType dtype);
void embedding_backward(Context&, View dtable, View dout, View tokens);
void gather_rows(Context&, View out, View x, View indices);
void scatter_add_rows(Context&, View dx, View dout, View indices);

void rms_norm_forward(Context&, View out, View rstd, View x, View weight, float epsilon);
void rms_norm_backward(Context&, View dx, View dweight, View dout, View x, View rstd, View weight,
                       bool accumulate);
void scale(Context&, View x, float factor);
void dropout(Context&, View out, View x, View keys, DropoutOptions options, bool accumulate);
void rope(Context&, View x, View cosine, View sine, bool inverse);

void kv_write(Context&, KeyValueLayer layer, View k, View v, View slots);
void rope_kv_write(Context&, KeyValueLayer layer, View q, View k, View v, View slots, View cosine, View sine);
void attention_forward(Context&, View out, View lse, View q, KeyValueLayer layer, const AttentionPlan& plan,
                       float scale, uint64_t);
void attention_backward(Context&, View dq, View dk, View dv, View dout, View out, View q, View lse,
                        KeyValueLayer layer, const AttentionPlan& plan, float scale, uint64_t);

void swiglu_forward(Context&, View out, View gate, View up);
void swiglu_backward(Context&, View dgate, View dup, View dout, View gate, View up);

void softmax_statistics(Context&, View lse, View logprob, View entropy, View logits, View targets,
                        float inverse_temperature);
void softmax_backward(Context&, View logits, View lse, View entropy, View targets, View dlogprob,
                      View dentropy, float inverse_temperature);
// log sum exp of one row of `logits` times `inverse_temperature`, in double.
double row_log_sum_exp(const View& logits, int64_t row, int64_t vocabulary, double inverse_temperature);

PolicyLossSums policy_loss(Context&, View dlogprob, View dentropy, View logprob, View old_logprob,
                           View reference_logprob, View advantage, View weight, View entropy,
                           PolicyLossOptions options);
void sample(Context&, View tokens, View logprob, View logits, const SampleRow* rows);

double squared_norm(Context&, View x);
void adamw(Context&, View value, View moment1, View moment2, View gradient, AdamwOptions options);
void adamw_8bit(Context&, View value, QuantisedMoments moments, View gradient, AdamwOptions options);
void pack_master(Context&, PackedWeight weight, View rest, View value, int64_t first_row);
void unpack_master(Context&, View value, PackedWeight weight, View rest, int64_t first_row);

}  // namespace winnow::reference
