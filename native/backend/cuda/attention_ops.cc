// The engine's side of the operations on the token forest: shapes, and the forest flattened.
#include "backend/attention_shapes.h"
#include "backend/cuda/call.h"
#include "backend/cuda/plan.h"

namespace winnow::cuda {
namespace {

constexpr int kMostHeadDim = 256;

int query_heads(const char* op, View q, const KeyValueLayer& layer) {
  require_layer_dtype(op, layer);
  const int64_t unit = int64_t{layer.kv_heads} * layer.head_dim;
  WINNOW_CHECK(unit > 0 && layer.head_dim <= kMostHeadDim && q.cols() % unit == 0, "ERR_SHAPE",
               std::string("[") + op + "] q does not fit",
               "a multiple of " + std::to_string(layer.kv_heads) + " heads of width " +
                   std::to_string(layer.head_dim) + ", at most " + std::to_string(kMostHeadDim),
               describe(q));
  return static_cast<int>(q.cols() / layer.head_dim);
}

Attention attention(View out, View lse, View q, const KeyValueLayer& layer, int heads, float scale) {
  Attention call{};
  call.q = q.as<float>();
  call.key_cache = layer.keys;
  call.value_cache = layer.values;
  call.cache_bf16 = layer.dtype == DType::kBF16;
  call.out = out.as<float>();
  call.lse = lse.as<float>();
  call.rows = q.rows();
  call.heads = heads;
  call.kv_heads = layer.kv_heads;
  call.head_dim = layer.head_dim;
  call.scale = scale;
  return call;
}

KeyValues key_values(const KeyValueLayer& layer) {
  return {layer.keys,     layer.values,   layer.blocks,
          layer.kv_heads, layer.head_dim, layer.dtype == DType::kBF16};
}

// The plan flattened, or what was made of it for another call of the same pass.
std::shared_ptr<const FlatPlan> flattened(const char* op, const Context& context, const AttentionPlan& plan,
                                          const KeyValueLayer& layer, int64_t rows, int group, bool gradients,
                                          uint64_t pass) {
  OpenDevice& open = open_device(context.device);
  const std::lock_guard lock(open.plans_mutex);
  std::shared_ptr<const FlatPlan>& kept = open.plans[gradients];
  if (pass != 0 && kept && kept->pass == pass && kept->rows == rows && kept->blocks == layer.blocks &&
      kept->group == group)
    return kept;
  const auto made = std::make_shared<FlatPlan>(FlatPlan{pass, rows, layer.blocks, group, {}, {}});
  made->plan = flatten_plan(op, plan, layer, rows, group, gradients, made->words);
  ++open.plans_made;
  return kept = made;
}

}  // namespace

void kv_write(Context& context, KeyValueLayer layer, View k, View v, View slots) {
  require_kv_write(layer, k, v, slots);
  const KeyValues to = key_values(layer);
  call(context, [&](const Table& table, Device* device) {
    return table.kv_write(device, &to, k.as<float>(), v.as<float>(), slots.as<int32_t>(), slots.rows());
  });
}

void rope_kv_write(Context& context, KeyValueLayer layer, View q, View k, View v, View slots, View cosine,
                   View sine) {
  const int64_t heads = require_rope_kv_write(layer, q, k, v, slots, cosine, sine);
  const KeyValues to = key_values(layer);
  call(context, [&](const Table& table, Device* device) {
    return table.rope_kv_write(device, &to, q.as<float>(), k.as<float>(), v.as<float>(), slots.as<int32_t>(),
                               cosine.as<float>(), sine.as<float>(), slots.rows(), heads);
  });
}

void attention_forward(Context& context, View out, View lse, View q, KeyValueLayer layer,
                       const AttentionPlan& plan, float scale, uint64_t pass) {
  const int heads = query_heads("attention_forward", q, layer);
  const int64_t rows = q.rows();
  require_shape("attention_forward", "q", q, rows, q.cols());
  require_shape("attention_forward", "out", out, rows, q.cols());
  if (lse) require_shape("attention_forward", "lse", lse, rows, heads);
  const auto flat =
      flattened("attention_forward", context, plan, layer, rows, heads / layer.kv_heads, false, pass);
  Attention prepared = attention(out, lse, q, layer, heads, scale);
  prepared.plan = flat->plan;
  call(context,
       [&](const Table& table, Device* device) { return table.attention_forward(device, &prepared); });
}

void attention_backward(Context& context, View dq, View dk, View dv, View dout, View out, View q, View lse,
                        KeyValueLayer layer, const AttentionPlan& plan, float scale, uint64_t pass) {
  const int heads = query_heads("attention_backward", q, layer);
  const int64_t rows = q.rows(), width = q.cols(), kv_width = int64_t{layer.kv_heads} * layer.head_dim;
  require_shape("attention_backward", "q", q, rows, width);
  require_shape("attention_backward", "out", out, rows, width);
  require_shape("attention_backward", "dout", dout, rows, width);
  require_shape("attention_backward", "dq", dq, rows, width);
  require_shape("attention_backward", "dk", dk, rows, kv_width);
  require_shape("attention_backward", "dv", dv, rows, kv_width);
  require_shape("attention_backward", "lse", lse, rows, heads);
  const auto flat =
      flattened("attention_backward", context, plan, layer, rows, heads / layer.kv_heads, true, pass);
  Attention prepared = attention(out, lse, q, layer, heads, scale);
  prepared.plan = flat->plan;
  const AttentionGradients gradients{dq.as<float>(), dk.as<float>(), dv.as<float>(), dout.as<float>()};
  call(context, [&](const Table& table, Device* device) {
    return table.attention_backward(device, &prepared, &gradients);
  });
}

}  // namespace winnow::cuda
