// Crossing between the host's memory and a backend's, without a copy where they are one.
#pragma once

#include <string_view>
#include <vector>

#include "backend/ops.h"
#include "tensor/buffer.h"

namespace winnow {

// Whether the backend's pointers are the host's: every backend but CUDA.
inline bool shares_host_memory(const Ops& ops) { return std::string_view(ops.name) != "cuda"; }

// A view of the same elements that the host can read; `storage` owns the copy if one was needed.
View host_view(Context& context, const Ops& ops, const View& device, std::vector<std::byte>& storage);

// A view of the same elements that the backend can read; `storage` owns the copy if one was needed.
View device_view(Context& context, const Ops& ops, const View& host, Buffer& storage);

// to (device, f32) set = from (host; f32, bf16 or f16), same size, converted exactly.
void upload_as_f32(Context& context, const Ops& ops, const View& to, const View& from);

}  // namespace winnow
