// The engine's side of the operations on the token forest: shapes, and the forest flattened.
#include "backend/cuda/call.h"
#include "backend/cuda/plan.h"

namespace winnow::cuda {
namespace {

constexpr int kMostHeadDim = 256;

int query_heads(const char* op, View q, const KeyValueLayer& layer) {
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
  call.out = out.as<float>();
  call.lse = lse.as<float>();
  call.rows = q.rows();
  call.heads = heads;
  call.kv_heads = layer.kv_heads;
  call.head_dim = layer.head_dim;
  call.scale = scale;
  return call;
}

}  // namespace

void kv_write(Context& context, KeyValueLayer layer, View k, View v, View slots) {
  const int64_t rows = slots.rows(), width = int64_t{layer.kv_heads} * layer.head_dim;
  require_shape("kv_write", "slots", slots, rows, 1, DType::kI32);
  require_shape("kv_write", "k", k, rows, width);
  require_shape("kv_write", "v", v, rows, width);
  call(context, [&](const Table& table, Device* device) {
    return table.kv_write(device, layer.keys, layer.values, k.as<float>(), v.as<float>(), slots.as<int32_t>(),
                          rows, layer.kv_heads, layer.head_dim, layer.blocks);
  });
}

void attention_forward(Context& context, View out, View lse, View q, KeyValueLayer layer,
                       const AttentionPlan& plan, float scale) {
  const int heads = query_heads("attention_forward", q, layer);
  const int64_t rows = q.rows();
  require_shape("attention_forward", "q", q, rows, q.cols());
  require_shape("attention_forward", "out", out, rows, q.cols());
  if (lse) require_shape("attention_forward", "lse", lse, rows, heads);
  std::vector<int32_t> words;
  Attention prepared = attention(out, lse, q, layer, heads, scale);
  prepared.plan = flatten_plan("attention_forward", plan, layer, rows, heads / layer.kv_heads, false, words);
  call(context,
       [&](const Table& table, Device* device) { return table.attention_forward(device, &prepared); });
}

void attention_backward(Context& context, View dq, View dk, View dv, View dout, View out, View q, View lse,
                        KeyValueLayer layer, const AttentionPlan& plan, float scale) {
  const int heads = query_heads("attention_backward", q, layer);
  const int64_t rows = q.rows(), width = q.cols(), kv_width = int64_t{layer.kv_heads} * layer.head_dim;
  require_shape("attention_backward", "q", q, rows, width);
  require_shape("attention_backward", "out", out, rows, width);
  require_shape("attention_backward", "dout", dout, rows, width);
  require_shape("attention_backward", "dq", dq, rows, width);
  require_shape("attention_backward", "dk", dk, rows, kv_width);
  require_shape("attention_backward", "dv", dv, rows, kv_width);
  require_shape("attention_backward", "lse", lse, rows, heads);
  std::vector<int32_t> words;
  Attention prepared = attention(out, lse, q, layer, heads, scale);
  prepared.plan = flatten_plan("attention_backward", plan, layer, rows, heads / layer.kv_heads, true, words);
  const AttentionGradients gradients{dq.as<float>(), dk.as<float>(), dv.as<float>(), dout.as<float>()};
  call(context, [&](const Table& table, Device* device) {
    return table.attention_backward(device, &prepared, &gradients);
  });
}

}  // namespace winnow::cuda
