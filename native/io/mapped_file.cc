#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/error.h"

namespace winnow {

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const auto fail = [&](const std::string& reason) -> void {
    throw Error("ERR_FILE_OPEN", "cannot open " + path, "a readable file", reason);
  };
  // Not blocking: opening a FIFO that nobody writes must fail, not hang.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail(std::strerror(errno));
  struct stat status{};
  std::string reason;
  if (::fstat(descriptor, &status) != 0)
    reason = std::strerror(errno);
  else if (!S_ISREG(status.st_mode))
    reason = S_ISDIR(status.st_mode) ? "a folder" : "not a regular file";
  if (reason.empty() && status.st_size > 0) {
    size_ = static_cast<size_t>(status.st_size);
    void* mapping = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (mapping == MAP_FAILED)
      reason = std::strerror(errno);
    else
      data_ = static_cast<const std::byte*>(mapping);
  }
  ::close(descriptor);
  if (!reason.empty()) fail(reason);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::let_go(const std::byte* data, size_t size_bytes) const {
  const auto file = reinterpret_cast<uintptr_t>(data_), begin = reinterpret_cast<uintptr_t>(data);
  if (data_ == nullptr || begin < file || begin + size_bytes > file + size_) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t first = (begin + page - 1) / page * page, last = (begin + size_bytes) / page * page;
  // Nothing was written to it, so that it comes back as it was. A hint: where it is refused, pages stay.
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace winnow
