// D = A B + C as cuBLASLt documents it: column-major, operands transposed by attribute, a bias for each row
// of D. Works on what was told through the attributes alone, so that a wrong layout gives a wrong product.
#include "emulated_cuda.h"

#if WINNOW_EMULATE_CUDA

#include <algorithm>

#include "backend/cuda/cublaslt.h"
#include "base/dtype.h"
#include "emulated_cublaslt.h"

namespace winnow::emulated {

std::vector<OfferedAlgorithm> offered_algorithms = {{1, 0, 1, true}};
std::vector<uint64_t> algorithms_run;

namespace {

namespace lt = winnow::cuda::lt;

struct Desc {
  int32_t transposed_a = 0, transposed_b = 0;
  uint32_t epilogue = 1;
  const float* bias = nullptr;
};
struct Layout {
  int type;
  uint64_t rows, cols;
  int64_t stride;
};
struct Preference {
  uint64_t workspace = 0;
  uint32_t reductions = 7;
};

lt::Status create(lt::Handle* handle) {
  *handle = nullptr;
  return 0;
}
lt::Status destroy(lt::Handle) { return 0; }
size_t version() { return 130100; }

lt::Status desc_create(lt::Desc* desc, int compute, int scale_type) {
  *desc = new Desc;
  return compute == lt::kCompute32 && scale_type == lt::kReal32 ? 0 : lt::kNotSupported;
}
lt::Status desc_destroy(lt::Desc desc) {
  delete static_cast<Desc*>(desc);
  return 0;
}
lt::Status desc_set(lt::Desc desc, int attribute, const void* value, size_t size_bytes) {
  auto* to = static_cast<Desc*>(desc);
  void* field = attribute == lt::kTransA        ? static_cast<void*>(&to->transposed_a)
                : attribute == lt::kTransB      ? static_cast<void*>(&to->transposed_b)
                : attribute == lt::kEpilogue    ? static_cast<void*>(&to->epilogue)
                : attribute == lt::kBiasPointer ? static_cast<void*>(&to->bias)
                                                : nullptr;
  if (!field || size_bytes != (attribute == lt::kBiasPointer ? 8u : 4u)) return lt::kNotSupported;
  std::memcpy(field, value, size_bytes);
  return 0;
}
lt::Status layout_create(lt::Layout* layout, int type, uint64_t rows, uint64_t cols, int64_t stride) {
  *layout = new Layout{type, rows, cols, stride};
  return stride >= static_cast<int64_t>(rows) ? 0 : lt::kNotSupported;
}
lt::Status layout_destroy(lt::Layout layout) {
  delete static_cast<Layout*>(layout);
  return 0;
}
lt::Status preference_create(lt::Preference* preference) {
  *preference = new Preference;
  return 0;
}
lt::Status preference_destroy(lt::Preference preference) {
  delete static_cast<Preference*>(preference);
  return 0;
}
lt::Status preference_set(lt::Preference preference, int attribute, const void* value, size_t size_bytes) {
  auto* to = static_cast<Preference*>(preference);
  if (attribute == lt::kMaxWorkspace) std::memcpy(&to->workspace, value, size_bytes);
  if (attribute == lt::kReductions) std::memcpy(&to->reductions, value, size_bytes);
  return 0;
}

lt::Status heuristic(lt::Handle, lt::Desc, lt::Layout, lt::Layout, lt::Layout, lt::Layout,
                     lt::Preference preference, int wanted, lt::Heuristic* all, int* found) {
  *found = 0;
  for (const OfferedAlgorithm& offered : offered_algorithms) {
    const bool allowed =
        offered.reductions == 0 || (offered.reductions & static_cast<Preference*>(preference)->reductions);
    if (!allowed || *found == wanted) continue;
    all[*found] = {};
    all[(*found)++].algorithm.data[0] = offered.id;
  }
  return *found > 0 ? 0 : lt::kNotSupported;
}

// Element (row, col) of a column-major bf16 matrix, or of its transpose.
float element(const void* data, const Layout& layout, bool transposed, uint64_t row, uint64_t col) {
  if (transposed) std::swap(row, col);
  return bf16_to_f32(static_cast<const uint16_t*>(data)[row + col * static_cast<uint64_t>(layout.stride)]);
}

lt::Status multiply(lt::Handle, lt::Desc desc_handle, const void* alpha, const void* a, lt::Layout a_handle,
                    const void* b, lt::Layout b_handle, const void* beta, const void* c, lt::Layout c_handle,
                    void* d, lt::Layout d_handle, const lt::Algorithm* algorithm, void*, size_t, void*) {
  const DeviceAccess access;
  algorithms_run.push_back(algorithm->data[0]);
  const auto offered = std::find_if(offered_algorithms.begin(), offered_algorithms.end(),
                                    [&](const OfferedAlgorithm& o) { return o.id == algorithm->data[0]; });
  if (offered == offered_algorithms.end() || !offered->works) return lt::kNotSupported;
  clock_milliseconds += offered->milliseconds;
  if (dry) return 0;
  const auto& desc = *static_cast<const Desc*>(desc_handle);
  const auto &la = *static_cast<const Layout*>(a_handle), &lb = *static_cast<const Layout*>(b_handle),
             &ld = *static_cast<const Layout*>(d_handle);
  const uint64_t depth = desc.transposed_a ? la.rows : la.cols;
  if (c != d || c_handle != d_handle || (desc.transposed_a ? la.cols : la.rows) != ld.rows ||
      (desc.transposed_b ? lb.cols : lb.rows) != depth || (desc.transposed_b ? lb.rows : lb.cols) != ld.cols)
    return lt::kNotSupported;
  for (uint64_t col = 0; col < ld.cols; ++col)
    for (uint64_t row = 0; row < ld.rows; ++row) {
      float sum = 0;
      for (uint64_t k = 0; k < depth; ++k)
        sum += element(a, la, desc.transposed_a, row, k) * element(b, lb, desc.transposed_b, k, col);
      float& to = static_cast<float*>(d)[row + col * static_cast<uint64_t>(ld.stride)];
      const float scale = *static_cast<const float*>(beta);
      sum = *static_cast<const float*>(alpha) * sum + (scale == 0 ? 0.0f : scale * to);
      to = desc.epilogue == lt::kEpilogueBias ? sum + desc.bias[row] : sum;
    }
  return 0;
}

struct Symbol {
  const char* name;
  void* function;
};
template <typename Function>
void* address(Function* function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace
}  // namespace winnow::emulated

void* winnow_emulated_dlopen(const char* path, int) {
  static char library;
  return std::strcmp(path, "emulated") == 0 ? &library : nullptr;
}

void* winnow_emulated_dlsym(void*, const char* name) {
  using namespace winnow::emulated;
  const Symbol symbols[] = {{"cublasLtCreate", address(create)},
                            {"cublasLtDestroy", address(destroy)},
                            {"cublasLtGetVersion", address(version)},
                            {"cublasLtMatmulDescCreate", address(desc_create)},
                            {"cublasLtMatmulDescDestroy", address(desc_destroy)},
                            {"cublasLtMatmulDescSetAttribute", address(desc_set)},
                            {"cublasLtMatrixLayoutCreate", address(layout_create)},
                            {"cublasLtMatrixLayoutDestroy", address(layout_destroy)},
                            {"cublasLtMatmulPreferenceCreate", address(preference_create)},
                            {"cublasLtMatmulPreferenceDestroy", address(preference_destroy)},
                            {"cublasLtMatmulPreferenceSetAttribute", address(preference_set)},
                            {"cublasLtMatmulAlgoGetHeuristic", address(heuristic)},
                            {"cublasLtMatmul", address(multiply)}};
  for (const Symbol& symbol : symbols)
    if (std::strcmp(symbol.name, name) == 0) return symbol.function;
  return nullptr;
}

#endif
