// A file that appears whole or not at all.
#pragma once

#include <cstddef>
#include <string>

namespace winnow {

// Writes `path + ".partial"`; commit() syncs it, renames it to `path` and syncs the folder. Destroyed
// without commit, it removes the partial file and leaves an existing `path` untouched.
// Every method throws ERR_FILE_WRITE.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t size_bytes);
  void commit();

 private:
  [[noreturn]] void fail(const char* action, int error) const;
  void sync_folder() const;

  std::string path_, partial_;
  int descriptor_ = -1;
};

}  // namespace winnow
