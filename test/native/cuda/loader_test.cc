// Finding winnow_cuda.so and saying why a device cannot be used.
#include "backend/cuda/loader.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "backend/ops.h"
#include "harness.h"

namespace winnow::test {
namespace {

using namespace winnow::cuda;

Error refused(Status status, int32_t driver = 12040) {
  DeviceInfo info{};
  std::snprintf(info.name, sizeof info.name, "Old Device");
  std::snprintf(info.gemm_note, sizeof info.gemm_note, "row 3 is wrong");
  info.devices = 2;
  info.capability = 75;
  info.driver_version = driver;
  info.runtime_version = 13000;
  info.free_bytes = uint64_t{7} << 20;
  info.total_bytes = uint64_t{80} << 30;
  Table table{};
  table.architectures = "sm_80 sm_90a";
  return refusal(status, 5, info, table);
}

TEST("cuda/every refusal has its code, what was found and what helps") {
  const struct {
    Status status;
    const char *code, *found;
  } cases[] = {{kNoDriver, "ERR_CUDA_NO_DRIVER", "none"},
               {kDriverTooOld, "ERR_CUDA_DRIVER_OLD", "one for CUDA 12.4"},
               {kNoDevice, "ERR_CUDA_NO_DEVICE", "none"},
               {kNoSuchDevice, "ERR_CUDA_NO_DEVICE", "5"},
               {kNotBuiltFor, "ERR_CUDA_ARCHITECTURE", "sm_75"},
               {kSelfTestFailed, "ERR_CUDA_SELF_TEST", "row 3 is wrong"},
               {kOutOfMemory, "ERR_OUT_OF_MEMORY", "7 MiB free of 81920"},
               {kFailed, "ERR_CUDA", "row 3 is wrong"}};
  for (const auto& expected : cases) {
    const Error error = refused(expected.status);
    EXPECT(error.code == expected.code, error.code, " for status ", expected.status);
    EXPECT(error.received == expected.found, error.code, " received ", error.received);
  }
  EXPECT(refused(kNotBuiltFor).expected == "sm_80 sm_90a", "the architectures that there is code for");
  EXPECT(refused(kNoSuchDevice).expected == "0 to 1", "the devices that there are");
}

#if !WINNOW_EMULATE_CUDA
Error load_error(const std::string& code, const std::vector<std::string>& paths) {
  std::string loaded;
  try {
    load_table(paths, &loaded);
  } catch (const Error& error) {
    EXPECT(error.code == code, error.code, ": ", error.received);
    return error;
  }
  fail("loaded ", loaded);
}

TEST("cuda/the loader lists every attempt") {
  const std::string missing = "/nowhere/winnow_cuda.so",
                    damaged = std::filesystem::temp_directory_path() / "winnow_damaged.so";
  EXPECT(load_error("ERR_CUDA_NOT_BUILT", {missing}).received == missing + ": no such file",
         "the path tried");
  std::ofstream(damaged) << "no library";
  const Error error = load_error("ERR_CUDA_LIBRARY", {missing, damaged});
  EXPECT(error.received.starts_with(missing + ": no such file; " + damaged + ": "), error.received);
  std::filesystem::remove(damaged);
  Dl_info libc{};
  EXPECT(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &libc) != 0, "where libc is");
  const std::string other = std::filesystem::canonical(libc.dli_fname);
  EXPECT(load_error("ERR_CUDA_LIBRARY", {other}).received == other + ": not a library of this package",
         other);
}

TEST("cuda/WINNOW_CUDA_LIBRARY names the one file that is tried") {
  const char* kept = std::getenv("WINNOW_CUDA_LIBRARY");
  const std::string before = kept ? kept : "";
  setenv("WINNOW_CUDA_LIBRARY", "/chosen/library.so", 1);
  EXPECT(library_paths() == std::vector<std::string>{"/chosen/library.so"}, "only the chosen one");
  unsetenv("WINNOW_CUDA_LIBRARY");
  EXPECT(library_paths().size() == 1 && library_paths()[0].ends_with("/winnow_cuda.so"), library_paths()[0]);
  if (kept) setenv("WINNOW_CUDA_LIBRARY", before.c_str(), 1);
}
#endif

TEST("cuda/settings that name no way to make products are refused") {
  for (const char* variable : {"WINNOW_CUDA_GEMM", "WINNOW_CUBLASLT_CHOICE"}) {
    const char* kept = std::getenv(variable);
    const std::string before = kept ? kept : "";
    setenv(variable, "fastest", 1);
    const std::string message = expect_error("ERR_OPTION", [] { open_device(kMostDevices - 1); });
    EXPECT(message.starts_with(variable), message);
    kept ? setenv(variable, before.c_str(), 1) : unsetenv(variable);
  }
}

TEST("cuda/the device is open, or refused with a reason") {
  try {
    EXPECT(std::string(cuda_ops().name) == "cuda", cuda_ops().name);
    EXPECT(std::string(cuda_ops().instructions).starts_with("sm_"), cuda_ops().instructions);
  } catch (const Error& error) {
    EXPECT(error.code.starts_with("ERR_CUDA_"), error.code, ": ", error.what());
    EXPECT(!error.received.empty() && !error.hint.empty(), "what was found and what helps");
  }
  expect_error("ERR_CUDA_NO_DEVICE", [] { cuda_ops(kMostDevices); });
}

}  // namespace
}  // namespace winnow::test
