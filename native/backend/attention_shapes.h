// Shape checks of operations on keys and values that the backends share.
#pragma once

#include "backend/attention_plan.h"
#include "backend/shapes.h"

namespace winnow {

// Throws ERR_SHAPE unless keys and values are kept in a format that operations read.
inline void require_layer_dtype(const char* op, const KeyValueLayer& layer) {
  WINNOW_CHECK(layer.dtype == DType::kF32 || layer.dtype == DType::kBF16, "ERR_SHAPE",
               std::string("[") + op + "] keys and values are not in a format that is read", "f32 or bf16",
               name(layer.dtype));
}

// Throws ERR_SHAPE unless the operands of Ops::kv_write fit.
inline void require_kv_write(const KeyValueLayer& layer, const View& k, const View& v, const View& slots) {
  const int64_t rows = slots.rows(), width = int64_t{layer.kv_heads} * layer.head_dim;
  require_layer_dtype("kv_write", layer);
  require_shape("kv_write", "slots", slots, rows, 1, DType::kI32);
  require_shape("kv_write", "k", k, rows, width);
  require_shape("kv_write", "v", v, rows, width);
}

// Throws ERR_SHAPE unless the operands of Ops::rope_kv_write fit; returns the number of query heads.
inline int64_t require_rope_kv_write(const KeyValueLayer& layer, const View& q, const View& k, const View& v,
                                     const View& slots, const View& cosine, const View& sine) {
  const int64_t rows = slots.rows(), dim = layer.head_dim, width = layer.kv_heads * dim;
  require_layer_dtype("rope_kv_write", layer);
  WINNOW_CHECK(width > 0 && dim % 2 == 0 && q.cols() % width == 0 && (rows == 0 || q.cols() > 0), "ERR_SHAPE",
               "[rope_kv_write] q does not fit",
               "a multiple of " + std::to_string(layer.kv_heads) + " heads of width " + std::to_string(dim) +
                   ", which is even",
               describe(q));
  require_shape("rope_kv_write", "q", q, rows, q.cols());
  require_shape("rope_kv_write", "k", k, rows, width);
  require_shape("rope_kv_write", "v", v, rows, width);
  require_shape("rope_kv_write", "slots", slots, rows, 1, DType::kI32);
  require_shape("rope_kv_write", "cosine", cosine, rows, dim / 2);
  require_shape("rope_kv_write", "sine", sine, rows, dim / 2);
  return q.cols() / dim;
}

}  // namespace winnow
