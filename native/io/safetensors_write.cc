// Writing: the header first, then every tensor streamed through a small buffer.
#include <algorithm>
#include <cstring>
#include <set>

#include "io/atomic_file.h"
#include "io/safetensors.h"
#include "io/safetensors_format.h"

namespace winnow {
namespace {

constexpr int64_t kBufferElements = 1 << 18;

int64_t count_of(const TensorToWrite& tensor) {
  int64_t count = 1;
  for (const int64_t extent : tensor.shape)
    if (extent < 0 || __builtin_mul_overflow(count, extent, &count))
      throw Error("ERR_ARGUMENT", "tensor \"" + tensor.name + "\" has an impossible shape");
  return count;
}

void check(std::span<const TensorToWrite> tensors) {
  std::set<std::string_view> names;
  for (const TensorToWrite& tensor : tensors) {
    const auto fail = [&](const std::string& expected, const std::string& received) {
      throw Error("ERR_ARGUMENT", "tensor \"" + tensor.name + "\" cannot be written", expected, received);
    };
    if (tensor.name == "__metadata__" || !names.insert(tensor.name).second)
      fail("a name of its own", tensor.name);
    const DType from = tensor.source.dtype;
    if (from != tensor.dtype && (tensor.dtype == DType::kF16 || !is_float(tensor.dtype) || !is_float(from)))
      fail("a conversion to f32 or bf16", std::string(name(from)) + " to " + name(tensor.dtype));
    if (tensor.source.size() != count_of(tensor))
      fail(std::to_string(count_of(tensor)) + " elements, as the shape says",
           std::to_string(tensor.source.size()));
  }
}

std::string make_header(std::span<const TensorToWrite* const> order,
                        const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    const char* comma = "";
    for (const auto& [key, value] : metadata) {
      text += comma + quote_json(key) + ":" + quote_json(value);
      comma = ",";
    }
    text += "}";
  }
  uint64_t position = 0;
  for (const TensorToWrite* tensor : order) {
    const uint64_t end = position + static_cast<uint64_t>(count_of(*tensor)) * size_bytes(tensor->dtype);
    if (text.size() > 1) text += ",";
    text += quote_json(tensor->name) + ":{\"dtype\":\"" + std::string(format_of_dtype(tensor->dtype)) +
            "\",\"shape\":[";
    for (size_t axis = 0; axis < tensor->shape.size(); ++axis)
      text += (axis ? "," : "") + std::to_string(tensor->shape[axis]);
    text += "],\"data_offsets\":[" + std::to_string(position) + "," + std::to_string(end) + "]}";
    position = end;
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');  // keeps the data aligned
  return text;
}

float element(const View& source, int64_t index) {
  switch (source.dtype) {
    case DType::kBF16:
      return bf16_to_f32(source.as<const bf16>()[index]);
    case DType::kF16:
      return f16_to_f32(source.as<const f16>()[index]);
    default:
      return source.as<const float>()[index];
  }
}

void write_data(AtomicFile& file, const TensorToWrite& tensor, std::vector<float>& buffer) {
  const View source = tensor.make ? tensor.make() : tensor.source;
  if (source.dtype == tensor.dtype) {
    file.write(source.data, source.size_bytes());
    return;
  }
  for (int64_t begin = 0; begin < source.size(); begin += kBufferElements) {
    const int64_t count = std::min(kBufferElements, source.size() - begin);
    if (tensor.dtype == DType::kF32) {
      for (int64_t i = 0; i < count; ++i) buffer[static_cast<size_t>(i)] = element(source, begin + i);
    } else {
      bf16* narrow = reinterpret_cast<bf16*>(buffer.data());
      for (int64_t i = 0; i < count; ++i) narrow[i] = f32_to_bf16(element(source, begin + i));
    }
    file.write(buffer.data(), static_cast<size_t>(count) * size_bytes(tensor.dtype));
  }
}

}  // namespace

void write_safetensors(const std::string& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  check(tensors);
  std::vector<const TensorToWrite*> order;
  for (const TensorToWrite& tensor : tensors) order.push_back(&tensor);
  // Wide elements first, so that every tensor lies at a multiple of its element size.
  std::stable_sort(order.begin(), order.end(), [](const TensorToWrite* a, const TensorToWrite* b) {
    return size_bytes(a->dtype) > size_bytes(b->dtype);
  });

  const std::string header = make_header(order, metadata);
  if (header.size() > kMostHeaderBytes)
    throw Error("ERR_ARGUMENT", "too many tensors for one file",
                std::to_string(kMostHeaderBytes) + " bytes of header", std::to_string(header.size()));
  unsigned char length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<unsigned char>(header.size() >> 8 * i);

  AtomicFile file(path);
  file.write(length, sizeof length);
  file.write(header.data(), header.size());
  std::vector<float> buffer(static_cast<size_t>(kBufferElements));
  for (const TensorToWrite* tensor : order) write_data(file, *tensor, buffer);
  file.commit();
}

}  // namespace winnow
