// The part of cuBLASLt that is used, declared here because its headers need not be where we build. Names,
// values and layouts are those of cublasLt.h, the same in CUDA 12 and 13.
#pragma once

#include <cstddef>
#include <cstdint>

namespace winnow::cuda::lt {

using Status = int;  // cublasStatus_t; 0: success
constexpr Status kNotSupported = 15;
using Handle = void*;
using Desc = void*;
using Layout = void*;
using Preference = void*;

constexpr int kReal32 = 0, kRealBf16 = 14;  // cudaDataType_t: CUDA_R_32F, CUDA_R_16BF
constexpr int kCompute32 = 68;              // cublasComputeType_t: CUBLAS_COMPUTE_32F
constexpr int32_t kNormal = 0, kTransposed = 1;
// cublasLtMatmulDescAttributes_t
constexpr int kTransA = 3, kTransB = 4, kEpilogue = 7, kBiasPointer = 8;
constexpr uint32_t kEpilogueBias = 4;
// cublasLtMatmulPreferenceAttributes_t
constexpr int kMaxWorkspace = 1, kReductions = 3, kAlignmentA = 5, kAlignmentB = 6, kAlignmentC = 7,
              kAlignmentD = 8;
// cublasLtReductionScheme_t: how parts of the depth are added up. In place, which is none of these, is in the
// order in which the parts end.
constexpr uint32_t kNoReduction = 0, kOrderedReductions = 2 | 4;

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};

struct Functions {
  Status (*create)(Handle*);
  Status (*destroy)(Handle);
  size_t (*version)();
  Status (*desc_create)(Desc*, int compute, int scale_type);
  Status (*desc_destroy)(Desc);
  Status (*desc_set)(Desc, int attribute, const void* value, size_t size_bytes);
  Status (*layout_create)(Layout*, int type, uint64_t rows, uint64_t cols, int64_t stride);
  Status (*layout_destroy)(Layout);
  Status (*preference_create)(Preference*);
  Status (*preference_destroy)(Preference);
  Status (*preference_set)(Preference, int attribute, const void* value, size_t size_bytes);
  Status (*heuristic)(Handle, Desc, Layout a, Layout b, Layout c, Layout d, Preference, int wanted,
                      Heuristic*, int* found);
  Status (*multiply)(Handle, Desc, const void* alpha, const void* a, Layout, const void* b, Layout,
                     const void* beta, const void* c, Layout, void* d, Layout, const Algorithm*,
                     void* workspace, size_t workspace_bytes, void* stream);
};

}  // namespace winnow::cuda::lt
