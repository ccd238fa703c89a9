// A regular file mapped read-only into memory.
#pragma once

#include <cstddef>
#include <string>

namespace winnow {

class MappedFile {
 public:
  // Throws ERR_FILE_OPEN. The file must not shrink while it is mapped.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // The whole pages of a range of the file leave this process's memory until they are read again. A range
  // that lies elsewhere is left alone.
  void let_go(const std::byte* data, size_t size_bytes) const;

  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace winnow
