// Reading: shards are mapped, their headers checked whole, and tensors handed out as views.
#include "io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>
#include <unordered_map>

#include "io/mapped_file.h"
#include "io/safetensors_format.h"

namespace winnow {
namespace {

struct Tensor {
  const MappedFile* file;
  std::string format;
  std::vector<uint64_t> shape;
  const std::byte* data;
  size_t size_bytes;
};

// Levenshtein distance, or `limit` when it is not below.
size_t edit_distance(std::string_view a, std::string_view b, size_t limit) {
  if (std::max(a.size(), b.size()) - std::min(a.size(), b.size()) >= limit) return limit;
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return std::min(row[b.size()], limit);
}

uint64_t little_endian_u64(const std::byte* data) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | std::to_integer<uint64_t>(data[i]);
  return value;
}

}  // namespace

struct SafetensorsReader::State {
  std::vector<std::unique_ptr<MappedFile>> files;
  std::map<std::string, Tensor, std::less<>> tensors;
  std::map<std::string, std::string> metadata;

  // Copies of tensors that do not lie at a multiple of their element size.
  std::mutex mutex;
  std::unordered_map<const std::byte*, std::vector<uint64_t>> aligned;

  void add(const std::string& path);
  const std::byte* aligned_data(const Tensor& tensor, size_t alignment);
  std::string nearest(std::string_view name) const;
};

void SafetensorsReader::State::add(const std::string& path) {
  files.push_back(std::make_unique<MappedFile>(path));
  const MappedFile& file = *files.back();
  const auto fail = [&](const std::string& expected, const std::string& received) {
    throw Error("ERR_FILE_FORMAT", "bad safetensors file " + path, expected, received,
                "the file is damaged, cut short or not a safetensors file");
  };
  if (file.size() < 8) fail("at least 8 bytes", std::to_string(file.size()));
  const uint64_t header_bytes = little_endian_u64(file.data());
  if (header_bytes > kMostHeaderBytes)
    fail("a header of at most " + std::to_string(kMostHeaderBytes) + " bytes", std::to_string(header_bytes));
  if (header_bytes > file.size() - 8)
    fail("a header within the " + std::to_string(file.size()) + " bytes of the file",
         std::to_string(header_bytes));

  Header header = parse_header({reinterpret_cast<const char*>(file.data()) + 8, header_bytes}, path);
  const std::byte* data = file.data() + 8 + header_bytes;
  check_layout(header.entries, file.size() - 8 - header_bytes, path);
  for (HeaderEntry& entry : header.entries) {
    const auto [existing, added] = tensors.try_emplace(
        entry.name, Tensor{&file, entry.dtype, entry.shape, data + entry.begin, entry.end - entry.begin});
    if (!added)
      throw Error("ERR_FILE_FORMAT", "tensor \"" + entry.name + "\" is in two files", "names that occur once",
                  existing->second.file->path() + " and " + path);
  }
  for (const auto& [key, value] : header.metadata) metadata.emplace(key, value);
}

const std::byte* SafetensorsReader::State::aligned_data(const Tensor& tensor, size_t alignment) {
  if (reinterpret_cast<uintptr_t>(tensor.data) % alignment == 0) return tensor.data;
  const std::lock_guard lock(mutex);
  std::vector<uint64_t>& copy = aligned[tensor.data];
  if (copy.empty() && tensor.size_bytes > 0) {
    copy.resize((tensor.size_bytes + 7) / 8);
    std::memcpy(copy.data(), tensor.data, tensor.size_bytes);
  }
  return reinterpret_cast<const std::byte*>(copy.data());
}

std::string SafetensorsReader::State::nearest(std::string_view name) const {
  constexpr size_t kMostCompared = 4096;  // keeps the error quick on a file of very many names
  std::string best;
  size_t best_distance = std::max<size_t>(4, name.size() / 3);
  size_t compared = 0;
  for (const auto& [candidate, tensor] : tensors) {
    if (++compared > kMostCompared) break;
    const size_t distance =
        candidate.size() > 4 * kMostCompared ? best_distance : edit_distance(name, candidate, best_distance);
    if (distance < best_distance) best_distance = distance, best = candidate;
  }
  return best;
}

SafetensorsReader::SafetensorsReader(const std::vector<std::string>& paths)
    : state_(std::make_unique<State>()) {
  for (const std::string& path : paths) state_->add(path);
}

SafetensorsReader::~SafetensorsReader() = default;

void SafetensorsReader::let_go(const View& tensor) const {
  for (const auto& file : state_->files) file->let_go(tensor.as<const std::byte>(), tensor.size_bytes());
}

bool SafetensorsReader::contains(std::string_view name) const {
  return state_->tensors.find(name) != state_->tensors.end();
}

View SafetensorsReader::tensor(std::string_view name) const {
  const auto found = state_->tensors.find(name);
  if (found == state_->tensors.end()) {
    const std::string nearest = state_->nearest(name);
    throw Error("ERR_TENSOR_MISSING", "tensor \"" + std::string(name) + "\" is not in the model files", "",
                "", nearest.empty() ? "" : "the nearest name there is \"" + nearest + "\"");
  }
  const Tensor& tensor = found->second;
  const auto fail = [&](const std::string& expected, const std::string& received) {
    throw Error("ERR_FILE_FORMAT", "tensor \"" + std::string(name) + "\" cannot be used", expected, received);
  };
  View view;
  if (!dtype_of_format(tensor.format, view.dtype)) fail("F32, BF16, F16 or I32", tensor.format);
  if (tensor.shape.size() > view.shape.size())
    fail("up to 4 dimensions", std::to_string(tensor.shape.size()));
  // A scalar becomes one row: a view of rank 0 is empty.
  view.rank = std::max(1, static_cast<int>(tensor.shape.size()));
  view.shape[0] = 1;
  for (size_t axis = 0; axis < tensor.shape.size(); ++axis) {
    if (tensor.shape[axis] > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      fail("extents below 2^63", std::to_string(tensor.shape[axis]));
    view.shape[axis] = static_cast<int64_t>(tensor.shape[axis]);
  }
  view.data = const_cast<std::byte*>(state_->aligned_data(tensor, size_bytes(view.dtype)));
  return view;
}

std::vector<std::string> SafetensorsReader::names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state_->tensors) names.push_back(name);
  return names;
}

const std::map<std::string, std::string>& SafetensorsReader::metadata() const { return state_->metadata; }

}  // namespace winnow
