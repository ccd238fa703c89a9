// Operations on one number at a time: rotary embedding and silu(gate) * up. Formulas: backend/reference.
#include "backend/cuda/device.h"

namespace winnow::cuda {
namespace {

// A thread turns one pair (x[i], x[i + half]) of one head.
__global__ void rope_kernel(float* x, const float* cosine, const float* sine, int64_t heads, int64_t half,
                            bool inverse, int64_t pairs) {
  const int64_t pair = global_thread();
  if (pair >= pairs) return;
  const int64_t i = pair % half, head = pair / half, row = head / heads;
  float* first = x + head * 2 * half + i;
  const float a = first[0], b = first[half], c = cosine[row * half + i];
  const float s = inverse ? -sine[row * half + i] : sine[row * half + i];
  first[0] = fmaf(a, c, -(b * s));
  first[half] = fmaf(b, c, a * s);
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
