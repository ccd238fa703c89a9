// The reference backend's table.
#include "backend/fused_linear.h"
#include "backend/reference/reference.h"

namespace winnow {

const Ops& reference_ops() {
  static const Ops ops = {
      .name = "reference",
      .instructions = "scalar",
      .allocate = reference::allocate,
      .release = reference::release,
      .upload = reference::upload,
      .download = reference::download,
      .copy = reference::copy,
      .zero = reference::zero,
      .available_bytes = reference::available_bytes,
      .reserve = reference::reserve,
      .packed_weight_bytes = reference::packed_weight_bytes,
      .pack_weight = reference::pack_weight,
      .linear_forward = reference::linear_forward,
      .linear_backward_input = reference::linear_backward_input,
      .linear_backward_weight = reference::linear_backward_weight,
      .linear_backward =
          linear_backward_of_parts<reference::linear_backward_input, reference::linear_backward_weight>,
      .bias_backward = reference::bias_backward,
      .embedding_forward = reference::embedding_forward,
      .embedding_backward = reference::embedding_backward,
      .rms_norm_forward = reference::rms_norm_forward,
      .rms_norm_backward = reference::rms_norm_backward,
      .rope = reference::rope,
      .kv_write = reference::kv_write,
      .rope_kv_write = reference::rope_kv_write,
      .attention_forward = reference::attention_forward,
      .attention_backward = reference::attention_backward,
      .swiglu_forward = reference::swiglu_forward,
      .swiglu_backward = reference::swiglu_backward,
      .norm_linear_forward = norm_then_linear<reference::rms_norm_forward, reference::linear_forward>,
      .swiglu_linear_forward = swiglu_then_linear<reference::swiglu_forward, reference::linear_forward>,
      .feed_forward =
          feed_forward_of_parts<norm_then_linear<reference::rms_norm_forward, reference::linear_forward>,
                                swiglu_then_linear<reference::swiglu_forward, reference::linear_forward>>,
      .feed_forward_backward =
          feed_forward_backward_of_parts<reference::swiglu_forward, reference::swiglu_backward,
                                         reference::linear_backward_input, reference::linear_backward_weight>,
      .gather_rows = reference::gather_rows,
      .scatter_add_rows = reference::scatter_add_rows,
      .softmax_statistics = reference::softmax_statistics,
      .softmax_backward = reference::softmax_backward,
      .policy_loss = reference::policy_loss,
      .sample = reference::sample,
      .scale = reference::scale,
      .dropout = reference::dropout,
      .squared_norm = reference::squared_norm,
      .adamw = reference::adamw,
      .adamw_8bit = reference::adamw_8bit,
      .pack_master = reference::pack_master,
      .unpack_master = reference::unpack_master,
  };
  return ops;
}

}  // namespace winnow
