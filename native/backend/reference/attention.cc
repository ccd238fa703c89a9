// Causal attention with grouped key/value heads (Vaswani et al. 2017; Ainslie et al. 2023). For the row
// at position t of a path and its keys j <= t:
//   s_j = scale * q . k_j    p_j = exp(s_j - lse)    lse = log sum_j exp(s_j)    out = sum_j p_j v_j
// Gradients, with delta = dout . out (Dao et al. 2022, appendix B):
//   dv_j += p_j dout    ds_j = p_j (dout . v_j - delta)    dq += scale ds_j k_j    dk_j += scale ds_j q
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "backend/attention_shapes.h"
#include "backend/reference/reference.h"

namespace winnow::reference {
namespace {

struct Key {
  int64_t block, lane, row;
};

int64_t key_index(const KeyValueLayer& layer, const Key& key, int64_t kv_head, int64_t d) {
  return ((key.block * layer.kv_heads + kv_head) * layer.head_dim + d) * kKeyBlock + key.lane;
}
int64_t value_index(const KeyValueLayer& layer, const Key& key, int64_t kv_head, int64_t d) {
  return ((key.block * layer.kv_heads + kv_head) * kKeyBlock + key.lane) * layer.head_dim + d;
}

void require_plan(bool holds, const char* op, const char* what) {
  if (!holds) throw Error("ERR_SHAPE", std::string("[") + op + "] the attention plan does not fit", what);
}

// Every row belongs to one segment, and the runs of a segment are its path from position 0, in order.
void check_plan(const char* op, const AttentionPlan& plan, const KeyValueLayer& layer, int64_t rows,
                bool need_rows) {
  std::vector<int> owners(static_cast<size_t>(rows), 0);
  for (const AttentionSegment& segment : plan.segments) {
    require_plan(
        segment.row_begin >= 0 && segment.row_count >= 0 && segment.row_begin + segment.row_count <= rows, op,
        "segment rows inside the batch");
    for (int32_t i = 0; i < segment.row_count; ++i) ++owners[static_cast<size_t>(segment.row_begin + i)];
    int64_t position = 0;
    for (const KeyRun& run : segment.runs) {
      require_plan(run.block >= 0 && run.block < layer.blocks, op, "blocks inside the key/value layer");
      require_plan(run.position % kKeyBlock == 0 && run.begin >= 0 && run.begin < run.end &&
                       run.end <= kKeyBlock && run.position + run.begin == position,
                   op, "runs that cover the path without gaps");
      const bool cached = run.row == -1;
      require_plan(cached || (run.row >= 0 && run.row + (run.end - run.begin) <= rows), op,
                   "key rows inside the batch");
      require_plan(!need_rows || run.row >= 0, op, "a batch row for every key");
      position = run.position + run.end;
    }
    require_plan(segment.row_count == 0 || position == segment.position_begin + segment.row_count, op,
                 "runs that end at the segment's last row");
  }
  require_plan(std::all_of(owners.begin(), owners.end(), [](int count) { return count == 1; }), op,
               "every row in exactly one segment");
}

int64_t query_heads(const char* op, const View& q, const KeyValueLayer& layer) {
  require_layer_dtype(op, layer);
  const bool divides = layer.kv_heads > 0 && layer.head_dim > 0 &&
                       q.cols() % (static_cast<int64_t>(layer.kv_heads) * layer.head_dim) == 0;
  WINNOW_CHECK(
      divides, "ERR_SHAPE", std::string("[") + op + "] q does not fit",
      "a multiple of " + std::to_string(layer.kv_heads) + " heads of " + std::to_string(layer.head_dim),
      describe(q));
  return q.cols() / layer.head_dim;
}

// The keys of the path up to `position`, in order.
std::vector<Key> keys_until(const AttentionSegment& segment, int64_t position) {
  std::vector<Key> keys;
  for (const KeyRun& run : segment.runs)
    for (int32_t lane = run.begin; lane < run.end && run.position + lane <= position; ++lane)
      keys.push_back({run.block, lane, run.row < 0 ? -1 : run.row + (lane - run.begin)});
  return keys;
}

double stored(const void* part, DType dtype, int64_t index) {
  return static_cast<double>(dtype == DType::kF32 ? static_cast<const float*>(part)[index]
                                                  : bf16_to_f32(static_cast<const bf16*>(part)[index]));
}
double key_at(const KeyValueLayer& layer, const Key& key, int64_t kv_head, int64_t d) {
  return stored(layer.keys, layer.dtype, key_index(layer, key, kv_head, d));
}
double value_at(const KeyValueLayer& layer, const Key& key, int64_t kv_head, int64_t d) {
  return stored(layer.values, layer.dtype, value_index(layer, key, kv_head, d));
}

void keep(void* part, DType dtype, int64_t index, float value) {
  if (dtype == DType::kF32)
    static_cast<float*>(part)[index] = value;
  else
    static_cast<bf16*>(part)[index] = f32_to_bf16(value);
}

double scaled_score(const View& q, int64_t q_offset, const KeyValueLayer& layer, const Key& key,
                    int64_t kv_head, float scale) {
  double sum = 0;
  for (int64_t d = 0; d < layer.head_dim; ++d)
    sum += static_cast<double>(at(q, q_offset + d)) * key_at(layer, key, kv_head, d);
  return sum * static_cast<double>(scale);
}

}  // namespace

void kv_write(Context&, KeyValueLayer layer, View k, View v, View slots) {
  const int64_t rows = slots.rows(), width = static_cast<int64_t>(layer.kv_heads) * layer.head_dim;
  require_kv_write(layer, k, v, slots);
  require_indices("kv_write", "slot", slots, layer.blocks * kKeyBlock);
  for (int64_t m = 0; m < rows; ++m) {
    const int64_t slot = index_at(slots, m);
    const Key key{slot / kKeyBlock, slot % kKeyBlock, m};
    for (int64_t h = 0; h < layer.kv_heads; ++h)
      for (int64_t d = 0; d < layer.head_dim; ++d) {
        const int64_t entry = m * width + h * layer.head_dim + d;
        keep(layer.keys, layer.dtype, key_index(layer, key, h, d), at(k, entry));
        keep(layer.values, layer.dtype, value_index(layer, key, h, d), at(v, entry));
      }
  }
}

void rope_kv_write(Context& context, KeyValueLayer layer, View q, View k, View v, View slots, View cosine,
                   View sine) {
  const int64_t rows = slots.rows(), width = static_cast<int64_t>(layer.kv_heads) * layer.head_dim;
  const int64_t heads = require_rope_kv_write(layer, q, k, v, slots, cosine, sine);
  require_indices("rope_kv_write", "slot", slots, layer.blocks * kKeyBlock);
  if (rows == 0) return;
  rope(context, View(q.data, q.dtype, {rows, heads, layer.head_dim}), cosine, sine, false);
  rope(context, View(k.data, k.dtype, {rows, layer.kv_heads, layer.head_dim}), cosine, sine, false);
  kv_write(context, layer, View(k.data, k.dtype, {rows, width}), v, slots);
}

void attention_forward(Context&, View out, View lse, View q, KeyValueLayer layer, const AttentionPlan& plan,
                       float scale, uint64_t) {
  const int64_t rows = q.rows(), width = q.cols(), head_dim = layer.head_dim;
  const int64_t heads = query_heads("attention_forward", q, layer);
  require_shape("attention_forward", "q", q, rows, width);
  require_shape("attention_forward", "out", out, rows, width);
  if (lse) require_shape("attention_forward", "lse", lse, rows, heads);
  check_plan("attention_forward", plan, layer, rows, false);
  std::vector<double> sums(static_cast<size_t>(head_dim));
  for (const AttentionSegment& segment : plan.segments)
    for (int32_t i = 0; i < segment.row_count; ++i) {
      const std::vector<Key> keys = keys_until(segment, segment.position_begin + i);
      std::vector<double> scores(keys.size());
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t kv_head = h / (heads / layer.kv_heads);
        const int64_t offset = (segment.row_begin + i) * width + h * head_dim;
        for (size_t j = 0; j < keys.size(); ++j)
          scores[j] = scaled_score(q, offset, layer, keys[j], kv_head, scale);
        const double maximum = *std::max_element(scores.begin(), scores.end());
        double total = 0;
        sums.assign(sums.size(), 0.0);
        for (size_t j = 0; j < keys.size(); ++j) {
          const double weight = std::exp(scores[j] - maximum);
          total += weight;
          for (int64_t d = 0; d < head_dim; ++d)
            sums[static_cast<size_t>(d)] += weight * value_at(layer, keys[j], kv_head, d);
        }
        for (int64_t d = 0; d < head_dim; ++d)
          at(out, offset + d) = static_cast<float>(sums[static_cast<size_t>(d)] / total);
        if (lse) at(lse, (segment.row_begin + i) * heads + h) = static_cast<float>(maximum + std::log(total));
      }
    }
}

void attention_backward(Context&, View dq, View dk, View dv, View dout, View out, View q, View lse,
                        KeyValueLayer layer, const AttentionPlan& plan, float scale, uint64_t) {
  const int64_t rows = q.rows(), width = q.cols(), head_dim = layer.head_dim;
  const int64_t heads = query_heads("attention_backward", q, layer), kv_width = layer.kv_heads * head_dim;
  for (const auto& [argument, view] : {std::pair("dq", dq), {"dout", dout}, {"out", out}, {"q", q}})
    require_shape("attention_backward", argument, view, rows, width);
  require_shape("attention_backward", "dk", dk, rows, kv_width);
  require_shape("attention_backward", "dv", dv, rows, kv_width);
  require_shape("attention_backward", "lse", lse, rows, heads);
  check_plan("attention_backward", plan, layer, rows, true);
  std::vector<double> dk_sums(static_cast<size_t>(rows * kv_width), 0.0), dv_sums(dk_sums);
  std::vector<double> dq_sums(static_cast<size_t>(rows * width), 0.0);
  for (const AttentionSegment& segment : plan.segments)
    for (int64_t row = segment.row_begin; row < segment.row_begin + segment.row_count; ++row) {
      const std::vector<Key> keys = keys_until(segment, segment.position_begin + (row - segment.row_begin));
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t kv_head = h / (heads / layer.kv_heads), offset = row * width + h * head_dim;
        const double row_lse = static_cast<double>(at(lse, row * heads + h));
        double delta = 0;
        for (int64_t d = 0; d < head_dim; ++d)
          delta += static_cast<double>(at(dout, offset + d)) * static_cast<double>(at(out, offset + d));
        for (const Key& key : keys) {
          const double p = std::exp(scaled_score(q, offset, layer, key, kv_head, scale) - row_lse);
          double dp = 0;
          for (int64_t d = 0; d < head_dim; ++d)
            dp += static_cast<double>(at(dout, offset + d)) * value_at(layer, key, kv_head, d);
          const double ds = static_cast<double>(scale) * p * (dp - delta);
          for (int64_t d = 0; d < head_dim; ++d) {
            const size_t kv = static_cast<size_t>(key.row * kv_width + kv_head * head_dim + d);
            dv_sums[kv] += p * static_cast<double>(at(dout, offset + d));
            dk_sums[kv] += ds * static_cast<double>(at(q, offset + d));
            dq_sums[static_cast<size_t>(offset + d)] += ds * key_at(layer, key, kv_head, d);
          }
        }
      }
    }
  for (int64_t i = 0; i < dq.size(); ++i) at(dq, i) = static_cast<float>(dq_sums[static_cast<size_t>(i)]);
  for (int64_t i = 0; i < dk.size(); ++i) at(dk, i) = static_cast<float>(dk_sums[static_cast<size_t>(i)]);
  for (int64_t i = 0; i < dv.size(); ++i) at(dv, i) = static_cast<float>(dv_sums[static_cast<size_t>(i)]);
}

}  // namespace winnow::reference
