#include "io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace winnow {

AtomicFile::AtomicFile(const std::string& path) : path_(path), partial_(path + ".partial") {
  descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail("create", errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(partial_.c_str());
}

void AtomicFile::fail(const char* action, int error) const {
  std::string hint;
  if (error == ENOSPC || error == EDQUOT) hint = "free space on that disk; nothing of an older file was lost";
  if (error == EACCES || error == EROFS || error == EPERM) hint = "choose a folder that you may write to";
  if (error == ENOENT) hint = "create the folder first";
  throw Error("ERR_FILE_WRITE", std::string("cannot ") + action + " " + path_, "", std::strerror(error),
              hint);
}

void AtomicFile::write(const void* data, size_t size_bytes) {
  const char* bytes = static_cast<const char*>(data);
  while (size_bytes > 0) {
    const ssize_t written = ::write(descriptor_, bytes, size_bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write", errno);
    bytes += written;
    size_bytes -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail("sync", errno);
  if (std::rename(partial_.c_str(), path_.c_str()) != 0) fail("rename", errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) fail("close", errno);
  sync_folder();
}

// The rename itself reaches the disk only when the folder does.
void AtomicFile::sync_folder() const {
  const size_t slash = path_.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail("sync the folder of", errno);
  const int result = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  // Some file systems cannot sync a folder and say EINVAL; there is nothing more to do then.
  if (result != 0 && error != EINVAL) fail("sync the folder of", error);
}

}  // namespace winnow
