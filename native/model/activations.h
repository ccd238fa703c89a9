// What the backward pass needs of a forward pass, in one allocation.
//
// Floats a token and layer: 2 D (residuals) + 2 H Dh (queries, attention output) + H (log sum exp) + 2 F
// (gate, up) + 2 (norms); with q/k norm also Hk Dh (raw keys) + H + Hk (their norms). Keys and values
// stay in the KV store; norm outputs, rotated queries after a q/k norm, and silu(gate) * up are
// computed again. Once a token: D + 1.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/ops.h"
#include "model/config.h"
#include "tensor/buffer.h"

namespace winnow {

struct LayerActivations {
  View residual_in, residual_mid;          // (M, D): input of the layer, and after attention
  View attention_rstd, feed_forward_rstd;  // (M): of the two norms
  View query;                              // (M, H*Dh): rotated; with q/k norm the raw projection
  View key_raw, query_rstd, key_rstd;      // (M, Hk*Dh), (M*H), (M*Hk): only with q/k norm
  View lse, attended;                      // (M, H), (M, H*Dh)
  View gate, up;                           // (M, F)
};

struct Activations {
  Activations(Context& context, const Ops& ops, const ModelConfig& config, int64_t capacity);

  static int64_t size_bytes(const ModelConfig& config, int64_t rows);

  // Lays the views out for a batch of `rows` <= capacity() rows.
  void bind(int64_t rows);
  int64_t capacity() const { return capacity_; }
  int64_t size_bytes() const { return static_cast<int64_t>(storage_.view().size_bytes()); }

  int64_t rows = 0;
  std::vector<LayerActivations> layers;
  View final_residual, final_rstd;  // (M, D), (M)

 private:
  ModelConfig config_;
  int64_t capacity_;
  Buffer storage_;
};

}  // namespace winnow
