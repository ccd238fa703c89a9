// Products by cuBLASLt, opened at run time. Both operands are made bf16 first, the sums stay f32. The choice
// of algorithm is its heuristic's first, kept for each shape.
//
// cuBLASLt's matrices are column-major: our row-major C = A . B is its C^T = B^T . A^T, so its first operand
// is b.
#include "backend/cuda/cublaslt.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <type_traits>

#include "backend/cuda/library.h"
#include "backend/cuda/linear.h"

namespace winnow::cuda {

struct CublasLt {
  void* library;
  lt::Functions call;
  lt::Handle handle;

  struct Key {
    int64_t rows, cols, depth;
    int32_t a_across, b_across, biased, alignment;  // depth is not the contiguous axis
  };
  struct Choice {
    Key key;
    lt::Heuristic heuristic;
    bool usable;
  };
  static constexpr int kMostChoices = 1024;
  Choice choices[kMostChoices];
  int count;
};

namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;  // what NVIDIA recommends for Hopper

bool resolve(CublasLt& to) {
  const auto find = [&](const char* name) { return dlsym(to.library, name); };
  const auto set = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(find(name));
    return function != nullptr;
  };
  lt::Functions& f = to.call;
  return set(f.create, "cublasLtCreate") && set(f.destroy, "cublasLtDestroy") &&
         set(f.version, "cublasLtGetVersion") && set(f.desc_create, "cublasLtMatmulDescCreate") &&
         set(f.desc_destroy, "cublasLtMatmulDescDestroy") &&
         set(f.desc_set, "cublasLtMatmulDescSetAttribute") &&
         set(f.layout_create, "cublasLtMatrixLayoutCreate") &&
         set(f.layout_destroy, "cublasLtMatrixLayoutDestroy") &&
         set(f.preference_create, "cublasLtMatmulPreferenceCreate") &&
         set(f.preference_destroy, "cublasLtMatmulPreferenceDestroy") &&
         set(f.preference_set, "cublasLtMatmulPreferenceSetAttribute") &&
         set(f.heuristic, "cublasLtMatmulAlgoGetHeuristic") && set(f.multiply, "cublasLtMatmul");
}

// A file that the user names; one already in the process; the toolkit's; the loader's own search.
void* open_library() {
  if (const char* chosen = std::getenv("WINNOW_CUBLASLT"); chosen != nullptr && *chosen != '\0')
    return dlopen(chosen, RTLD_NOW | RTLD_LOCAL);
  constexpr const char* kNames[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
  for (const char* name : kNames)
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD)) return library;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
    for (const char* name : kNames) {
      const char* home = std::getenv(variable);
      char path[512];
      std::snprintf(path, sizeof path, "%s/lib64/%s", home ? home : "/usr/local/cuda", name);
      if (void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL)) return library;
    }
  for (const char* name : kNames)
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
  return nullptr;
}

__global__ void round_kernel(uint16_t* to, const float* from, int64_t count) {
  const int64_t i = global_thread();
  if (i < count) to[i] = to_bf16(from[i]);
}

// What a product needs of cuBLASLt's objects; destroyed with it.
struct Objects {
  const lt::Functions& call;
  lt::Desc desc = nullptr;
  lt::Layout a = nullptr, b = nullptr, c = nullptr;
  lt::Preference preference = nullptr;

  ~Objects() {
    if (desc) call.desc_destroy(desc);
    for (lt::Layout layout : {a, b, c})
      if (layout) call.layout_destroy(layout);
    if (preference) call.preference_destroy(preference);
  }
  // Its first operand is our b, its rows our columns.
  bool make(const Product& p, const CublasLt::Key& key) {
    const int32_t transpose_b = key.b_across ? lt::kNormal : lt::kTransposed;
    const int32_t transpose_a = key.a_across ? lt::kTransposed : lt::kNormal;
    const auto layout = [&](lt::Layout* to, bool across, int64_t outer, int64_t stride) {
      const int64_t rows = across ? outer : p.depth, cols = across ? p.depth : outer;
      return call.layout_create(to, lt::kRealBf16, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols),
                                stride < rows ? rows : stride) == 0;
    };
    const bool made = call.desc_create(&desc, lt::kCompute32, lt::kReal32) == 0 &&
                      call.desc_set(desc, lt::kTransA, &transpose_b, sizeof transpose_b) == 0 &&
                      call.desc_set(desc, lt::kTransB, &transpose_a, sizeof transpose_a) == 0 &&
                      layout(&a, key.b_across, p.cols, key.b_across ? p.b_l : p.b_j) &&
                      layout(&b, key.a_across, p.rows, key.a_across ? p.a_l : p.a_i) &&
                      call.layout_create(&c, lt::kReal32, static_cast<uint64_t>(p.cols),
                                         static_cast<uint64_t>(p.rows), p.cols) == 0;
    if (!made || !p.bias) return made;
    const uint32_t epilogue = lt::kEpilogueBias;
    return call.desc_set(desc, lt::kEpilogue, &epilogue, sizeof epilogue) == 0 &&
           call.desc_set(desc, lt::kBiasPointer, &p.bias, sizeof p.bias) == 0;
  }
  bool choose(lt::Handle handle, uint32_t alignment, lt::Heuristic* best) {
    const size_t workspace = kWorkspaceBytes;
    const uint32_t operands = 256;
    int found = 0;
    return call.preference_create(&preference) == 0 &&
           call.preference_set(preference, lt::kMaxWorkspace, &workspace, sizeof workspace) == 0 &&
           call.preference_set(preference, lt::kAlignmentA, &operands, sizeof operands) == 0 &&
           call.preference_set(preference, lt::kAlignmentB, &operands, sizeof operands) == 0 &&
           call.preference_set(preference, lt::kAlignmentC, &alignment, sizeof alignment) == 0 &&
           call.preference_set(preference, lt::kAlignmentD, &alignment, sizeof alignment) == 0 &&
           call.heuristic(handle, desc, a, b, c, c, preference, 1, best, &found) == 0 && found == 1;
  }
};

// The kept choice for `key`, or a new one.
const CublasLt::Choice* choice_for(CublasLt& library, const CublasLt::Key& key, Objects& objects) {
  for (int i = 0; i < library.count; ++i)
    if (std::memcmp(&library.choices[i].key, &key, sizeof key) == 0) return &library.choices[i];
  if (library.count == CublasLt::kMostChoices) library.count = 0;
  CublasLt::Choice& choice = library.choices[library.count++];
  choice.key = key;
  choice.usable = objects.choose(library.handle, static_cast<uint32_t>(key.alignment), &choice.heuristic);
  return &choice;
}

int32_t alignment_of(const void* data) {
  int32_t alignment = 256;
  while (alignment > 4 && reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(alignment) != 0)
    alignment /= 2;
  return alignment;
}

}  // namespace

CublasLt* open_cublaslt(Device* device, char* name, size_t name_size, char* note, size_t note_size) {
  CublasLt opened = {};
  opened.library = open_library();
  if (!opened.library) {
    std::snprintf(note, note_size, "%s", dlerror());
    return nullptr;
  }
  if (!resolve(opened) || opened.call.create(&opened.handle) != 0) {
    std::snprintf(note, note_size, "it lacks functions or cannot be started");
    dlclose(opened.library);
    return nullptr;
  }
  (void)device;
  const size_t version = opened.call.version();  // 130100 for 13.1, 120400 for 12.4
  std::snprintf(name, name_size, "cuBLASLt %zu.%zu", version / 10000, version / 100 % 100);
  auto* library = static_cast<CublasLt*>(std::malloc(sizeof(CublasLt)));
  *library = opened;
  return library;
}

void close_cublaslt(CublasLt* library) {
  library->call.destroy(library->handle);
  std::free(library);
}

Status cublaslt_product(Device* device, const Product& p) {
  if (p.rows == 0 || p.cols == 0) return kOk;
  CublasLt& library = *device->cublaslt;
  const CublasLt::Key key{p.rows,           p.cols, p.depth, p.a_l != 1, p.b_l != 1, p.bias != nullptr,
                          alignment_of(p.c)};
  Objects objects{library.call};
  if (p.depth == 0 || !objects.make(p, key)) return product_bf16(device, p);
  const CublasLt::Choice* choice = choice_for(library, key, objects);
  if (!choice->usable) return product_bf16(device, p);
  // Copies of the operands in scratch, each on its own 256 bytes, then the workspace.
  const auto rounded = [](int64_t count) { return (count * 2 + 255) / 256 * 256; };
  const int64_t a_bytes = rounded(p.rows * p.depth), b_bytes = p.b_is_bf16 ? 0 : rounded(p.cols * p.depth);
  char* memory = nullptr;
  WINNOW_TRY(scratch(device, a_bytes + b_bytes + static_cast<int64_t>(kWorkspaceBytes), &memory));
  auto* a = reinterpret_cast<uint16_t*>(memory);
  auto* b_copy = reinterpret_cast<uint16_t*>(memory + a_bytes);
  WINNOW_TRY(launch(device, round_kernel, blocks_for(p.rows * p.depth, kThreads), kThreads, a,
                    static_cast<const float*>(p.a), p.rows * p.depth));
  if (!p.b_is_bf16)
    WINNOW_TRY(launch(device, round_kernel, blocks_for(p.cols * p.depth, kThreads), kThreads, b_copy,
                      static_cast<const float*>(p.b), p.cols * p.depth));
  const void* b = p.b_is_bf16 ? p.b : b_copy;
  if (alignment_of(b) != 256) return product_bf16(device, p);
  const float one = 1, beta = p.accumulate ? 1 : 0;
  const lt::Status status = library.call.multiply(
      library.handle, objects.desc, &one, b, objects.a, a, objects.b, &beta, p.c, objects.c, p.c, objects.c,
      &choice->heuristic.algorithm, memory + a_bytes + b_bytes, kWorkspaceBytes, device->stream);
  if (status == 0) return kOk;
  std::snprintf(device->error, sizeof device->error, "cublasLtMatmul gave status %d", status);
  return kFailed;
}

}  // namespace winnow::cuda
