// Operations on one number at a time: rotary embedding, the writing of keys and values, silu(gate) * up.
// Formulas: backend/reference.
#include "backend/cuda/device.h"

namespace winnow::cuda {
namespace {

// (x[0], x[half]) by the angle of c and s.
__device__ inline void turn(float* x, int64_t half, float c, float s) {
  const float a = x[0], b = x[half];
  x[0] = fmaf(a, c, -(b * s));
  x[half] = fmaf(b, c, a * s);
}

// A thread turns one pair (x[i], x[i + half]) of one head.
__global__ void rope_kernel(float* x, const float* cosine, const float* sine, int64_t heads, int64_t half,
                            bool inverse, int64_t pairs) {
  const int64_t pair = global_thread();
  if (pair >= pairs) return;
  const int64_t i = pair % half, head = pair / half, entry = head / heads * half + i;
  turn(x + head * 2 * half + i, half, cosine[entry], inverse ? -sine[entry] : sine[entry]);
}

// Entry d of head h of a row's key and value, to slot `slot`.
__device__ inline void write_entry(const KeyValues& to, int64_t slot, int64_t h, int64_t d, float key,
                                   float value) {
  const int64_t head = slot / kKeyLanes * to.kv_heads + h, lane = slot % kKeyLanes;
  const int64_t key_at = (head * to.head_dim + d) * kKeyLanes + lane,
                value_at = (head * kKeyLanes + lane) * to.head_dim + d;
  if (to.bf16) {
    static_cast<uint16_t*>(to.keys)[key_at] = to_bf16(key);
    static_cast<uint16_t*>(to.values)[value_at] = to_bf16(value);
  } else {
    static_cast<float*>(to.keys)[key_at] = key;
    static_cast<float*>(to.values)[value_at] = value;
  }
}

__global__ void write_kernel(const Fault* fault, KeyValues to, const float* k, const float* v,
                             const int32_t* slots, int64_t count) {
  const int64_t i = global_thread();
  if (i >= count || fault->kind != kOk) return;
  const int64_t head = i / to.head_dim;
  write_entry(to, slots[head / to.kv_heads], head % to.kv_heads, i % to.head_dim, k[i], v[i]);
}

// A thread turns a pair of a query head, or one of a key head, which it writes with the same two entries of
// the value.
__global__ void rope_write_kernel(const Fault* fault, KeyValues to, float* q, float* k, const float* v,
                                  const int32_t* slots, const float* cosine, const float* sine, int64_t heads,
                                  int64_t pairs) {
  const int64_t pair = global_thread();
  if (pair >= pairs || fault->kind != kOk) return;
  const int64_t half = to.head_dim / 2, i = pair % half, all = heads + to.kv_heads;
  const int64_t row = pair / half / all, h = pair / half % all;
  const float c = cosine[row * half + i], s = sine[row * half + i];
  if (h < heads) {
    turn(q + (row * heads + h) * to.head_dim + i, half, c, s);
    return;
  }
  const int64_t at = (row * to.kv_heads + h - heads) * to.head_dim + i;
  turn(k + at, half, c, s);
  write_entry(to, slots[row], h - heads, i, k[at], v[at]);
  write_entry(to, slots[row], h - heads, i + half, k[at + half], v[at + half]);
}

__global__ void swiglu_forward_kernel(float* out, const float* gate, const float* up, int64_t count) {
  const int64_t i = global_thread();
  if (i >= count) return;
  const float g = gate[i];
  out[i] = g / (1.0f + expf(-g)) * up[i];
}

__global__ void swiglu_backward_kernel(float* dgate, float* dup, const float* dout, const float* gate,
                                       const float* up, int64_t count) {
  const int64_t i = global_thread();
  if (i >= count) return;
  const float g = gate[i], u = up[i], d = dout[i], s = 1.0f / (1.0f + expf(-g));
  dgate[i] = d * u * (s * fmaf(g, 1.0f - s, 1.0f));
  dup[i] = d * (g * s);
}

}  // namespace

Status rope(Device* device, float* x, const float* cosine, const float* sine, int64_t m, int64_t heads,
            int64_t half, bool inverse) {
  const int64_t pairs = m * heads * half;
  if (pairs == 0) return kOk;
  return launch(device, rope_kernel, blocks_for(pairs, kThreads), kThreads, x, cosine, sine, heads, half,
                inverse, pairs);
}

Status kv_write(Device* device, const KeyValues* to, const float* k, const float* v, const int32_t* slots,
                int64_t m) {
  WINNOW_TRY(check_indices(device, slots, m, to->blocks * kKeyLanes, FaultSource::kSlot));
  const int64_t count = m * to->kv_heads * to->head_dim;
  if (count == 0) return kOk;
  return launch(device, write_kernel, blocks_for(count, kThreads), kThreads, device->fault, *to, k, v, slots,
                count);
}

Status rope_kv_write(Device* device, const KeyValues* to, float* q, float* k, const float* v,
                     const int32_t* slots, const float* cosine, const float* sine, int64_t m, int64_t heads) {
  WINNOW_TRY(check_indices(device, slots, m, to->blocks * kKeyLanes, FaultSource::kSlot));
  const int64_t pairs = m * (heads + to->kv_heads) * (to->head_dim / 2);
  if (pairs == 0) return kOk;
  return launch(device, rope_write_kernel, blocks_for(pairs, kThreads), kThreads, device->fault, *to, q, k, v,
                slots, cosine, sine, heads, pairs);
}

Status swiglu_forward(Device* device, float* out, const float* gate, const float* up, int64_t count) {
  if (count == 0) return kOk;
  return launch(device, swiglu_forward_kernel, blocks_for(count, kThreads), kThreads, out, gate, up, count);
}

Status swiglu_backward(Device* device, float* dgate, float* dup, const float* dout, const float* gate,
                       const float* up, int64_t count) {
  if (count == 0) return kOk;
  return launch(device, swiglu_backward_kernel, blocks_for(count, kThreads), kThreads, dgate, dup, dout, gate,
                up, count);
}

}  // namespace winnow::cuda
