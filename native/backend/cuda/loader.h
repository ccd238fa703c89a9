// Finds winnow_cuda.so, opens a device with it, and says why where it cannot.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend/cuda/table.h"
#include "base/error.h"

namespace winnow::cuda {

struct Attempt {
  std::string path, outcome;
};

// What attention_ops.cc made of an AttentionPlan for the calls of one pass.
struct FlatPlan {
  uint64_t pass;
  int64_t rows, blocks;
  int group;
  std::vector<int32_t> words;
  Plan plan;  // points to `words`
};

struct OpenDevice {
  const Table* table = nullptr;
  Device* device = nullptr;
  DeviceInfo info{};
  std::string library, instructions;  // "sm_90: NVIDIA H100 80GB HBM3, products by cuBLASLt 13.1"
  std::atomic<bool> ready{false};
  std::mutex mutex;  // one caller at a time: sessions may share the device
  std::mutex plans_mutex;
  std::shared_ptr<const FlatPlan> plans[2];  // the last, without and with gradients
  int64_t plans_made = 0;
};

// Where the library is looked for, in order: the file that WINNOW_CUDA_LIBRARY names and no other, or
// `winnow_cuda.so` beside the addon or program that asks.
std::vector<std::string> library_paths();

// The table of the library in one of `paths`. Throws ERR_CUDA_NOT_BUILT where none is there, ERR_CUDA_LIBRARY
// where one is there but unusable; both with every attempt.
const Table* load_table(const std::vector<std::string>& paths, std::string* loaded_path);

// The error that a Status other than kOk is, with what was found and what helps.
Error refusal(Status status, int ordinal, const DeviceInfo& info, const Table& table);

constexpr int kMostDevices = 64;

// Device `ordinal`, opened by the first caller for the whole process. Throws what load_table and refusal
// give.
OpenDevice& open_device(int ordinal);

// Throws for a Status of an operation.
void require_ok(OpenDevice& device, Status status);

}  // namespace winnow::cuda
