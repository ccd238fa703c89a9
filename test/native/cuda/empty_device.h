// An emulated device as large as a test says, of which nothing is touched.
#pragma once

#include <optional>

#include "backend/cuda/loader.h"
#include "emulated_cuda.h"
#include "harness.h"

namespace winnow::test {

using namespace winnow::cuda;

constexpr size_t kMiB = size_t{1} << 20;

class EmptyDevice {
 public:
  explicit EmptyDevice(size_t free_bytes) {
    std::string loaded;
    table_ = load_table({}, &loaded);
    DeviceInfo info{};
    EXPECT(table_->open(0, kGemmOwn, kChoiceHeuristic, &device_, &info) == kOk, info.gemm_note);
    begin_ = table_->memory(device_);
    dry_.emplace(free_bytes);  // after the self-test, which computes
  }
  ~EmptyDevice() { table_->close(device_); }
  EmptyDevice(const EmptyDevice&) = delete;
  EmptyDevice& operator=(const EmptyDevice&) = delete;

  char* take(size_t size_bytes) {
    void* data = nullptr;
    EXPECT(table_->allocate(device_, size_bytes, &data) == kOk, size_bytes, " bytes");
    return static_cast<char*>(data);
  }
  bool refused(size_t size_bytes) {
    void* data = nullptr;
    return table_->allocate(device_, size_bytes, &data) == kOutOfMemory && data == nullptr;
  }
  Status reserve(size_t size_bytes) { return table_->reserve(device_, size_bytes); }
  size_t available() const {
    uint64_t bytes = 0;
    EXPECT(table_->available(device_, &bytes) == kOk, "available");
    return bytes;
  }
  void give(void* data) { EXPECT(table_->release(device_, data) == kOk, "release"); }
  size_t held() const { return table_->memory(device_).held_bytes - begin_.held_bytes; }
  size_t used() const { return table_->memory(device_).used_bytes - begin_.used_bytes; }

 private:
  std::optional<emulated::DryRun> dry_;
  const Table* table_ = nullptr;
  Device* device_ = nullptr;
  MemoryUse begin_{};
};

}  // namespace winnow::test
