#include "base/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace winnow {
namespace {

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();

int64_t meminfo_available() {
  std::ifstream file("/proc/meminfo");
  std::string field, unit;
  int64_t kibibytes = 0;
  while (file >> field >> kibibytes) {
    if (field == "MemAvailable:") return kibibytes * 1024;
    std::getline(file, unit);
  }
  return kUnknown;
}

int64_t number_in(const char* path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : kUnknown;  // "max" is no number
}

int64_t control_group_available() {
  const int64_t limit = number_in("/sys/fs/cgroup/memory.max");
  const int64_t used = number_in("/sys/fs/cgroup/memory.current");
  return limit == kUnknown || used == kUnknown ? kUnknown : std::max<int64_t>(limit - used, 0);
}

}  // namespace

int64_t available_memory_bytes() { return std::min(meminfo_available(), control_group_available()); }

}  // namespace winnow
