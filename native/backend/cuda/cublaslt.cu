// Products by cuBLASLt, opened at run time. Both operands are made bf16 first, the sums stay f32. The
// algorithm for a shape is its heuristic's first or, where that is asked for, the fastest of some that split
// no sum; it is kept. None adds parts of a sum in an order that is not fixed.
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

#include "backend/cuda/gemm_choice.h"
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
  GemmChoice choice;
  Choices<Key, lt::Heuristic, 1024> choices;
  cudaEvent_t begin, end;  // of what is timed
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
  // Up to `wanted` algorithms that split the depth in no other way than `reductions`, best first.
  int candidates(lt::Handle handle, int32_t alignment, uint32_t reductions, int wanted, lt::Heuristic* all) {
    const size_t workspace = kWorkspaceBytes;
    const uint32_t operands = 256, result = static_cast<uint32_t>(alignment);
    int found = 0;
    if (!preference && call.preference_create(&preference) != 0) return 0;
    const bool told = call.preference_set(preference, lt::kMaxWorkspace, &workspace, sizeof workspace) == 0 &&
                      call.preference_set(preference, lt::kReductions, &reductions, sizeof reductions) == 0 &&
                      call.preference_set(preference, lt::kAlignmentA, &operands, sizeof operands) == 0 &&
                      call.preference_set(preference, lt::kAlignmentB, &operands, sizeof operands) == 0 &&
                      call.preference_set(preference, lt::kAlignmentC, &result, sizeof result) == 0 &&
                      call.preference_set(preference, lt::kAlignmentD, &result, sizeof result) == 0;
    if (!told || call.heuristic(handle, desc, a, b, c, c, preference, wanted, all, &found) != 0) return 0;
    return found;
  }
};

// A product whose operands are bf16 in device memory.
struct Multiplication {
  Device* device;
  CublasLt& library;
  const Objects& objects;
  const void *a, *b;
  float beta;
  char* workspace;

  lt::Status run(const lt::Algorithm& algorithm, float* c) const {
    const float one = 1;
    return library.call.multiply(library.handle, objects.desc, &one, b, objects.a, a, objects.b, &beta, c,
                                 objects.c, c, objects.c, &algorithm, workspace, kWorkspaceBytes,
                                 device->stream);
  }
  // Milliseconds of some runs after a first one; negative where it cannot run.
  float time(const lt::Heuristic& candidate, float* c) const {
    constexpr int kRuns = 3;
    if (candidate.state != 0 || run(candidate.algorithm, c) != 0) return -1;
    bool timed = cudaEventRecord(library.begin, device->stream) == cudaSuccess;
    for (int i = 0; i < kRuns; ++i) timed = run(candidate.algorithm, c) == 0 && timed;
    float milliseconds = -1;
    timed = timed && cudaEventRecord(library.end, device->stream) == cudaSuccess &&
            cudaEventSynchronize(library.end) == cudaSuccess &&
            cudaEventElapsedTime(&milliseconds, library.begin, library.end) == cudaSuccess;
    return timed ? milliseconds : -1;
  }
};

// Chooses for a new shape; `trial` is room for a result. The state is not 0 where there is no algorithm.
const lt::Heuristic* choose(const Multiplication& product, const CublasLt::Key& key, Objects& objects,
                            float* trial) {
  constexpr int kCandidates = 8;
  CublasLt& library = product.library;
  lt::Heuristic all[kCandidates] = {};
  int best = -1;
  if (library.choice == kChoiceTimed) {
    const int count = objects.candidates(library.handle, key.alignment, lt::kNoReduction, kCandidates, all);
    best = fastest(count, [&](int i) { return product.time(all[i], trial); });
  }
  if (best >= 0) return library.choices.add(key, all[best]);
  if (objects.candidates(library.handle, key.alignment, lt::kOrderedReductions, 1, all) != 1)
    all[0].state = lt::kNotSupported;
  return library.choices.add(key, all[0]);
}

int32_t alignment_of(const void* data) {
  int32_t alignment = 256;
  while (alignment > 4 && reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(alignment) != 0)
    alignment /= 2;
  return alignment;
}

}  // namespace

CublasLt* open_cublaslt(GemmChoice choice, DeviceInfo* info) {
  const auto refuse = [info](const char* why) -> CublasLt* {
    std::snprintf(info->gemm_note, sizeof info->gemm_note, "%s", why);
    return nullptr;
  };
  CublasLt opened = {};
  opened.choice = choice;
  opened.library = open_library();
  if (!opened.library) return refuse(dlerror());
  if (!resolve(opened) || opened.call.create(&opened.handle) != 0) {
    dlclose(opened.library);
    return refuse("it lacks functions or cannot be started");
  }
  if (choice == kChoiceTimed &&
      (cudaEventCreate(&opened.begin) != cudaSuccess || cudaEventCreate(&opened.end) != cudaSuccess))
    return refuse("no events to time its algorithms with");
  const size_t version = opened.call.version();  // 130100 for 13.1, 120400 for 12.4
  std::snprintf(info->gemm, sizeof info->gemm, "cuBLASLt %zu.%zu%s", version / 10000, version / 100 % 100,
                choice == kChoiceTimed ? ", algorithms timed" : "");
  auto* library = static_cast<CublasLt*>(std::malloc(sizeof(CublasLt)));
  *library = opened;
  return library;
}

void close_cublaslt(CublasLt* library) {
  for (cudaEvent_t event : {library->begin, library->end})
    if (event) cudaEventDestroy(event);
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
  const lt::Heuristic* kept = library.choices.find(key);
  // Copies of the operands in scratch, each on its own 256 bytes, the workspace, and a result to time with.
  const auto rounded = [](int64_t count) { return (count * 2 + 255) / 256 * 256; };
  const int64_t a_bytes = rounded(p.rows * p.depth), b_bytes = p.b_is_bf16 ? 0 : rounded(p.cols * p.depth);
  const int64_t all_bytes = a_bytes + b_bytes + static_cast<int64_t>(kWorkspaceBytes);
  const bool trial = !kept && library.choice == kChoiceTimed;
  char* memory = nullptr;
  WINNOW_TRY(scratch(device, all_bytes + (trial ? p.rows * p.cols * 4 : 0), &memory));
  auto* a = reinterpret_cast<uint16_t*>(memory);
  auto* b_copy = reinterpret_cast<uint16_t*>(memory + a_bytes);
  WINNOW_TRY(launch(device, round_kernel, blocks_for(p.rows * p.depth, kThreads), kThreads, a,
                    static_cast<const float*>(p.a), p.rows * p.depth));
  if (!p.b_is_bf16)
    WINNOW_TRY(launch(device, round_kernel, blocks_for(p.cols * p.depth, kThreads), kThreads, b_copy,
                      static_cast<const float*>(p.b), p.cols * p.depth));
  const void* b = p.b_is_bf16 ? p.b : b_copy;
  if (alignment_of(b) != 256) return product_bf16(device, p);
  const Multiplication product{
      device, library, objects, a, b, p.accumulate ? 1.0f : 0.0f, memory + a_bytes + b_bytes};
  if (!kept) kept = choose(product, key, objects, reinterpret_cast<float*>(memory + all_bytes));
  if (kept->state != 0) return product_bf16(device, p);
  const lt::Status status = product.run(kept->algorithm, p.c);
  if (status == 0) return kOk;
  std::snprintf(device->error, sizeof device->error, "cublasLtMatmul gave status %d", status);
  return kFailed;
}

}  // namespace winnow::cuda
