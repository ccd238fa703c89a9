// safetensors files: memory-mapped reading, validated against hostile headers; streamed atomic writing.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/view.h"

namespace winnow {

// One or several files (shards) opened for reading. Views point into the mappings and live as long as
// this object.
class SafetensorsReader {
 public:
  // Throws ERR_FILE_OPEN, or ERR_FILE_FORMAT with the file, what was expected and what came: header
  // longer than the file, overlapping or unordered ranges, sizes that overflow or disagree with the
  // shape, unknown dtype, a name twice in one file or over the shards, bad UTF-8 or JSON.
  explicit SafetensorsReader(const std::vector<std::string>& paths);
  ~SafetensorsReader();
  SafetensorsReader(const SafetensorsReader&) = delete;
  SafetensorsReader& operator=(const SafetensorsReader&) = delete;

  bool contains(std::string_view name) const;
  View tensor(std::string_view name) const;  // throws ERR_TENSOR_MISSING with the nearest name
  // What was read of a tensor leaves this process's memory until it is read again; views stay valid.
  void let_go(const View& tensor) const;
  std::vector<std::string> names() const;  // sorted
  const std::map<std::string, std::string>& metadata() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct TensorToWrite {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  View source;  // any float format; converted to `dtype` while it is streamed
  // For a tensor that is made when its turn comes, so that only one exists at a time: `source` tells its
  // size and format, and what this returns is read before the next one is made.
  std::function<View()> make = nullptr;
};

// Writes to `path + ".partial"`, fsyncs, renames; on any error the partial file is removed and an
// existing `path` is untouched. Throws ERR_FILE_WRITE (disk full, read-only, ...).
void write_safetensors(const std::string& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace winnow
