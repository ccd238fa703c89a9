// AdamW with moments in f32 and in 8 bits; backend/moment_codes.h says what a code means.
#include "backend/cuda/library.h"

namespace winnow::cuda {
namespace {

// One entry's step: m and v from old to new; the stepped value.
__device__ inline float adamw_step(const AdamwFactors& f, float value, float& m, float& v, float gradient) {
  const float g = gradient * f.scale;
  m = fmaf(m, f.beta1, g * f.one_minus_beta1);
  v = fmaf(v, f.beta2, g * g * f.one_minus_beta2);
  return fmaf(m / fmaf(sqrtf(v), f.root_correction, f.epsilon), f.negative_step, value * f.decay);
}

__global__ void adamw_kernel(float* value, float* moment1, float* moment2, const float* gradient,
                             int64_t count, AdamwFactors f) {
  const int64_t i = global_thread();
  if (i >= count) return;
  float m = moment1[i], v = moment2[i];
  value[i] = adamw_step(f, value[i], m, v, gradient[i]);
  moment1[i] = m;
  moment2[i] = v;
}

// A block of threads for a block of moments, a thread an entry.
__global__ void __launch_bounds__(kMomentEntries)
    adamw_8bit_kernel(float* value, Moments moments, const float* gradient, int64_t count, AdamwFactors f) {
  WINNOW_SHARED(float, of_warps, kMomentEntries / kWarp);
  const int64_t i = global_thread(), block = blockIdx.x;
  const bool inside = i < count;
  float m = 0, v = 0;
  if (inside) {
    const float t1 = (static_cast<float>(moments.codes1[i]) - 127.0f) / 127.0f;
    const float t2 = static_cast<float>(moments.codes2[i]) / 255.0f, square = t2 * t2;
    m = moments.scales1[block] * (t1 * fabsf(t1));
    v = moments.scales2[block] * (square * square);
    value[i] = adamw_step(f, value[i], m, v, gradient[i]);
  }
  // Every thread has read the old scales when these are known.
  const float scale1 = block_max(fabsf(m), of_warps), scale2 = block_max(v, of_warps);
  if (threadIdx.x == 0) {
    moments.scales1[block] = scale1;
    moments.scales2[block] = scale2;
  }
  if (!inside) return;
  // In a block of zeros every entry is 0 whatever it is divided by.
  const float steps1 = fminf(rintf(sqrtf(fabsf(m) / (scale1 > 0 ? scale1 : 1.0f)) * 127.0f), 127.0f);
  const float steps2 = fminf(rintf(sqrtf(sqrtf(v / (scale2 > 0 ? scale2 : 1.0f))) * 255.0f), 255.0f);
  moments.codes1[i] = static_cast<uint8_t>(127.0f + (m < 0 ? -steps1 : steps1));
  moments.codes2[i] = static_cast<uint8_t>(fmaxf(steps2, v > 0 ? 1.0f : 0.0f));
}

}  // namespace

Status adamw(Device* device, float* value, float* moment1, float* moment2, const float* gradient,
             int64_t count, const AdamwFactors* factors) {
  if (count == 0) return kOk;
  return launch(device, adamw_kernel, blocks_for(count, kThreads), kThreads, value, moment1, moment2,
                gradient, count, *factors);
}

Status adamw_8bit(Device* device, float* value, const Moments* moments, const float* gradient, int64_t count,
                  const AdamwFactors* factors) {
  if (count == 0) return kOk;
  return launch(device, adamw_8bit_kernel, blocks_for(count, kMomentEntries), kMomentEntries, value, *moments,
                gradient, count, *factors);
}

}  // namespace winnow::cuda
