#include "backend/cuda/loader.h"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <filesystem>

namespace winnow::cuda {
namespace {

constexpr const char* kUseCpu = "use device 'cpu'";

std::string version_text(int32_t version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

#if !WINNOW_EMULATE_CUDA
std::string describe_attempts(const std::vector<Attempt>& attempts) {
  std::string text;
  for (const Attempt& attempt : attempts)
    text += (text.empty() ? "" : "; ") + attempt.path + ": " + attempt.outcome;
  return text;
}

// Empty when the library in `path` was loaded and fits.
std::string load_from(const std::string& path, const Table** table) {
  if (!std::filesystem::exists(path)) return "no such file";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return dlerror();
  const auto entry = reinterpret_cast<decltype(&winnow_cuda_table)>(dlsym(library, "winnow_cuda_table"));
  if (entry == nullptr) return "not a library of this package";
  const Table* found = entry();
  if (found->version != kTableVersion || found->size_bytes != sizeof(Table))
    return "of another version: its table is " + std::to_string(found->version) + ", expected " +
           std::to_string(kTableVersion);
  *table = found;
  return "";
}

#endif

Gemm wanted_gemm() {
  const char* text = std::getenv("WINNOW_CUDA_GEMM");
  const std::string wanted = text ? text : "";
  if (wanted.empty() || wanted == "auto") return kGemmAuto;
  if (wanted == "own") return kGemmOwn;
  if (wanted == "cublaslt") return kGemmCublasLt;
  throw Error("ERR_OPTION", "WINNOW_CUDA_GEMM does not name a way to make products", "auto, own or cublaslt",
              wanted);
}

GemmChoice wanted_choice() {
  const char* text = std::getenv("WINNOW_CUBLASLT_CHOICE");
  const std::string wanted = text ? text : "";
  if (wanted.empty() || wanted == "heuristic") return kChoiceHeuristic;
  if (wanted == "timed") return kChoiceTimed;
  throw Error("ERR_OPTION", "WINNOW_CUBLASLT_CHOICE does not name a way to choose", "heuristic or timed",
              wanted);
}

void open_into(OpenDevice& open, int ordinal) {
  const Gemm gemm = wanted_gemm();
  const GemmChoice choice = wanted_choice();
  open.table = load_table(library_paths(), &open.library);
  Device* device = nullptr;
  const Status status = open.table->open(ordinal, gemm, choice, &device, &open.info);
  if (status != kOk) throw refusal(status, ordinal, open.info, *open.table);
  if (gemm == kGemmCublasLt && open.info.gemm_note[0] != '\0') {
    open.table->close(device);
    throw Error("ERR_CUDA_LIBRARY", "cuBLASLt cannot be used", "the library of CUDA 12 or 13",
                open.info.gemm_note, "name it in WINNOW_CUBLASLT, or set WINNOW_CUDA_GEMM=own");
  }
  open.device = device;
  open.instructions = "sm_" + std::to_string(open.info.capability) + ": " + open.info.name +
                      ", products by " + open.info.gemm;
}

}  // namespace

std::vector<std::string> library_paths() {
  if (const char* chosen = std::getenv("WINNOW_CUDA_LIBRARY"); chosen != nullptr && *chosen != '\0')
    return {chosen};
  Dl_info self{};
  if (dladdr(reinterpret_cast<const void*>(&library_paths), &self) == 0 || self.dli_fname == nullptr)
    return {};
  return {(std::filesystem::absolute(self.dli_fname).parent_path() / "winnow_cuda.so").string()};
}

const Table* load_table(const std::vector<std::string>& paths, std::string* loaded_path) {
#if WINNOW_EMULATE_CUDA
  if (!paths.empty()) *loaded_path = "emulated";
  return winnow_cuda_table();
#else
  std::vector<Attempt> attempts;
  bool any = false;
  for (const std::string& path : paths) {
    const Table* table = nullptr;
    const std::string outcome = load_from(path, &table);
    if (table != nullptr) {
      *loaded_path = path;
      return table;
    }
    any = any || outcome != "no such file";
    attempts.push_back({path, outcome});
  }
  if (any)
    throw Error("ERR_CUDA_LIBRARY", "the CUDA library cannot be used", "winnow_cuda.so of this version",
                describe_attempts(attempts), std::string("build it again, or ") + kUseCpu);
  throw Error("ERR_CUDA_NOT_BUILT", "this build has no CUDA backend", "winnow_cuda.so",
              describe_attempts(attempts),
              std::string("build with the CUDA toolkit installed (docs/cuda.md), or ") + kUseCpu);
#endif
}

Error refusal(Status status, int ordinal, const DeviceInfo& info, const Table& table) {
  const std::string device = "device " + std::to_string(ordinal);
  const std::string architecture = "sm_" + std::to_string(info.capability);
  switch (status) {
    case kNoDriver:
      return {"ERR_CUDA_NO_DRIVER", "no NVIDIA driver is installed",
              "a driver for CUDA " + version_text(info.runtime_version) + " or later", "none", kUseCpu};
    case kDriverTooOld:
      return {"ERR_CUDA_DRIVER_OLD", "the NVIDIA driver is too old",
              "a driver for CUDA " + version_text(info.runtime_version) + " or later",
              "one for CUDA " + version_text(info.driver_version),
              std::string("update the driver, or ") + kUseCpu};
    case kNoDevice:
      return {"ERR_CUDA_NO_DEVICE", "the NVIDIA driver sees no device", "a CUDA device", "none",
              "look at CUDA_VISIBLE_DEVICES and nvidia-smi, or use device 'cpu'"};
    case kNoSuchDevice:
      return {"ERR_CUDA_NO_DEVICE", "there is no CUDA " + device, "0 to " + std::to_string(info.devices - 1),
              std::to_string(ordinal)};
    case kNotBuiltFor:
      return {"ERR_CUDA_ARCHITECTURE", std::string("the CUDA library has no code for ") + info.name,
              table.architectures, architecture,
              std::string("build it for ") + architecture + ", or " + kUseCpu};
    case kSelfTestFailed:
      return {"ERR_CUDA_SELF_TEST", std::string(info.name) + " gave a wrong result",
              "the exact product of whole numbers", info.gemm_note,
              std::string("look for hardware or driver errors, or ") + kUseCpu};
    case kOutOfMemory:
      return {
          "ERR_OUT_OF_MEMORY", std::string("no memory is left on ") + info.name,
          "some tens of MiB to start with",
          std::to_string(info.free_bytes >> 20) + " MiB free of " + std::to_string(info.total_bytes >> 20),
          "end other users of the device"};
    default:
      return {"ERR_CUDA", "CUDA " + device + " cannot be opened", {}, info.gemm_note, kUseCpu};
  }
}

OpenDevice& open_device(int ordinal) {
  static std::array<OpenDevice, kMostDevices> devices;
  WINNOW_CHECK(ordinal >= 0 && ordinal < kMostDevices, "ERR_CUDA_NO_DEVICE",
               "there is no CUDA device " + std::to_string(ordinal));
  OpenDevice& open = devices[static_cast<size_t>(ordinal)];
  if (open.ready.load(std::memory_order_acquire)) return open;
  const std::lock_guard lock(open.mutex);
  if (!open.ready.load()) {
    open_into(open, ordinal);
    open.ready.store(true, std::memory_order_release);
  }
  return open;
}

namespace {

std::string source_text(int32_t operation) {
  switch (static_cast<FaultSource>(operation)) {
    case FaultSource::kToken:
      return "[embedding] token";
    case FaultSource::kIndex:
      return "[rows] index";
    case FaultSource::kSlot:
      return "[key/value layer] slot";
    case FaultSource::kTarget:
      return "[softmax] target";
    default:
      return "[sample] the logits";
  }
}

[[noreturn]] void throw_fault(const Fault& fault) {
  const std::string row = " of row " + std::to_string(fault.row);
  if (static_cast<FaultSource>(fault.operation) == FaultSource::kLogits)
    throw Error("ERR_NON_FINITE", source_text(fault.operation) + row + " are no distribution",
                "finite logits or -infinity, at least one finite");
  throw Error("ERR_INDEX_RANGE", source_text(fault.operation) + row + " is out of range",
              "0 to " + std::to_string(fault.extent - 1), std::to_string(fault.value));
}

}  // namespace

void require_ok(OpenDevice& open, Status status) {
  if (status == kOk) return;
  if (status == kBadIndex || status == kNonFinite) {
    Fault fault{};
    open.table->take_fault(open.device, &fault);
    throw_fault(fault);
  }
  const std::string said = open.table->last_error(open.device);
  if (status == kOutOfMemory)
    throw Error(
        "ERR_OUT_OF_MEMORY", std::string("no memory is left on ") + open.info.name,
        std::to_string(open.info.total_bytes >> 20) + " MiB in all",
        std::to_string(open.table->memory(open.device).held_bytes >> 20) + " MiB held by this process",
        "lower maxBatchTokens or headChunkRows; planTraining tells what they take");
  throw Error("ERR_CUDA", "an operation failed on the CUDA device", {}, said,
              "the device cannot be used again in this process");
}

}  // namespace winnow::cuda
