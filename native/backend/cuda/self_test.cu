// What proves a device before it is used: one product in each format, of whole numbers, which are exact.
#include <cstdio>

#include "backend/cuda/library.h"

namespace winnow::cuda {
namespace {

constexpr int64_t kM = 67, kN = 70, kK = 41;

float x_at(int64_t m, int64_t k) { return static_cast<float>((3 * m + 5 * k) % 7 - 3); }
float w_at(int64_t n, int64_t k) { return static_cast<float>((2 * n + 7 * k) % 9 - 4); }

struct Numbers {
  float x[kM * kK], w[kN * kK], out[kM * kN];
};

Status run(Device* device, Numbers* host, Numbers* on_device, void* weight, bool bf16) {
  WINNOW_TRY(pack_weight(device, weight, on_device->w, 0, bf16, kN * kK));
  WINNOW_TRY(linear_forward(device, on_device->out, on_device->x, weight, nullptr, kM, kN, kK, bf16, false));
  WINNOW_TRY(download(device, host->out, on_device->out, sizeof host->out));
  for (int64_t m = 0; m < kM; ++m)
    for (int64_t n = 0; n < kN; ++n) {
      float expected = 0;
      for (int64_t k = 0; k < kK; ++k) expected += x_at(m, k) * w_at(n, k);
      if (host->out[m * kN + n] == expected) continue;
      std::snprintf(device->error, sizeof device->error, "the %s product has %g at (%d, %d), expected %g",
                    bf16 ? "bf16" : "f32", static_cast<double>(host->out[m * kN + n]), static_cast<int>(m),
                    static_cast<int>(n), static_cast<double>(expected));
      return kSelfTestFailed;
    }
  return kOk;
}

}  // namespace

Status self_test(Device* device) {
  static Numbers host;
  for (int64_t m = 0; m < kM; ++m)
    for (int64_t k = 0; k < kK; ++k) host.x[m * kK + k] = x_at(m, k);
  for (int64_t n = 0; n < kN; ++n)
    for (int64_t k = 0; k < kK; ++k) host.w[n * kK + k] = w_at(n, k);
  Numbers* on_device = nullptr;
  void* weight = nullptr;
  WINNOW_TRY(arena_allocate(device, sizeof(Numbers), reinterpret_cast<void**>(&on_device)));
  WINNOW_TRY(arena_allocate(device, sizeof host.w, &weight));
  WINNOW_TRY(upload(device, on_device, &host, sizeof host));
  WINNOW_TRY(run(device, &host, on_device, weight, false));
  WINNOW_TRY(run(device, &host, on_device, weight, true));
  WINNOW_TRY(release(device, weight));
  return release(device, on_device);
}

}  // namespace winnow::cuda
