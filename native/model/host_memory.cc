#include "model/host_memory.h"

#include <algorithm>

#include "model/workspace.h"

namespace winnow {
namespace {

constexpr int64_t kUploadElements = 1 << 20;
constexpr int64_t kTaskElements = 1 << 15;

void convert(float* to, const View& from, int64_t begin, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    switch (from.dtype) {
      case DType::kBF16:
        to[i] = bf16_to_f32(from.as<bf16>()[begin + i]);
        break;
      case DType::kF16:
        to[i] = f16_to_f32(from.as<f16>()[begin + i]);
        break;
      default:
        to[i] = from.f32()[begin + i];
        break;
    }
  }
}

}  // namespace

View host_view(Context& context, const Ops& ops, const View& device, std::vector<std::byte>& storage) {
  if (shares_host_memory(ops)) return device;
  storage.resize(device.size_bytes());
  ops.download(context, storage.data(), device.data, storage.size());
  View host = device;
  host.data = storage.data();
  return host;
}

View device_view(Context& context, const Ops& ops, const View& host, Buffer& storage) {
  if (shares_host_memory(ops)) return host;
  storage = allocate_buffer(context, ops, {host.size()}, host.dtype);
  ops.upload(context, storage.view().data, host.data, host.size_bytes());
  View device = host;
  device.data = storage.view().data;
  return device;
}

void upload_as_f32(Context& context, const Ops& ops, const View& to, const View& from) {
  WINNOW_CHECK(to.size() == from.size() && is_float(from.dtype), "ERR_INTERNAL",
               "the converted array does not fit its source");
  std::vector<float> staged(static_cast<size_t>(std::min(kUploadElements, from.size())));
  for (int64_t begin = 0; begin < from.size(); begin += kUploadElements) {
    const int64_t count = std::min(kUploadElements, from.size() - begin);
    context.pool.parallel_for((count + kTaskElements - 1) / kTaskElements, [&](int64_t task, int) {
      const int64_t first = task * kTaskElements;
      convert(staged.data() + first, from, begin + first, std::min(kTaskElements, count - first));
    });
    ops.upload(context, to.f32() + begin, staged.data(), static_cast<size_t>(count) * sizeof(float));
  }
}

}  // namespace winnow
