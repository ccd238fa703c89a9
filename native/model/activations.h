// What the backward pass needs of a forward pass, in one allocation.
//
// Floats a token and layer: 2 D (residuals) + 2 H Dh (queries, attention output) + H (log sum exp) + 2 F
// (gate, up) + 2 (norms); with q/k norm also Hk Dh (raw keys) + H + Hk (their norms); where keys are
// kept as well, 2 Hk Dh; where layers are computed again, D alone. Once a token: D + 1. Norm outputs, rotated
// queries after a q/k norm, and silu(gate) * up are computed again in any case.
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
  View key, value;                         // (M, Hk*Dh): only where the KV store will not outlive the pass
  // Where only the layers' inputs are kept, all but residual_in are empty.

  // Every array that there is, as (M, columns).
  std::vector<View> arrays(int64_t rows) const;
};

// Where backward finds them. Layers are asked for once each, the last one first, and gate and up of a
// layer may be overwritten.
class ActivationSource {
 public:
  virtual ~ActivationSource() = default;
  virtual int64_t rows() const = 0;
  virtual const LayerActivations& layer(int index) = 0;
  virtual View final_residual() = 0;  // (M, D)
  virtual View final_rstd() = 0;      // (M)
};

enum class Keep : uint8_t { kLayerInputs, kAll, kAllAndKeys };

// Bytes that `layers` layers and the final norm take for `rows` rows.
int64_t activation_bytes(const ModelConfig& config, int layers, int64_t rows, Keep keep);

class Activations final : public ActivationSource {
 public:
  Activations(Context& context, const Ops& ops, const ModelConfig& config, int layers, int64_t capacity,
              Keep keep);

  // The arrays of rows [begin, begin + rows) of capacity() from now on.
  void bind(int64_t begin, int64_t rows);
  int64_t capacity() const { return capacity_; }
  int64_t size_bytes() const { return static_cast<int64_t>(storage_.view().size_bytes()); }

  int64_t rows() const override { return rows_; }
  const LayerActivations& layer(int index) override { return layers_[static_cast<size_t>(index)]; }
  View final_residual() override { return final_residual_; }
  View final_rstd() override { return final_rstd_; }

 private:
  ModelConfig config_;
  int64_t capacity_, rows_ = 0;
  Buffer storage_;
  std::vector<LayerActivations> whole_, layers_;
  View whole_final_residual_, whole_final_rstd_, final_residual_, final_rstd_;
};

}  // namespace winnow
