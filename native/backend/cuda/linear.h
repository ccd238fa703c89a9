// A product of two matrices as the kernels see it.
#pragma once

#include "backend/cuda/device.h"

namespace winnow::cuda {

struct Product {
  const void* a = nullptr;      // f32 (rows, depth), element (i, l) at i * a_i + l * a_l
  const void* b = nullptr;      // f32, or bf16 where b_is_bf16: element (l, j) at j * b_j + l * b_l
  const float* bias = nullptr;  // (cols), or null
  float* c = nullptr;           // (rows, cols)
  int64_t rows = 0, cols = 0, depth = 0;
  int64_t a_i = 0, a_l = 0, b_j = 0, b_l = 0;  // one of each pair is 1
  bool b_is_bf16 = false;
  bool accumulate = false;  // c += instead of c =
};

// In bf16 by cuBLASLt where the device has it.
Status product(Device* device, const Product& p, bool bf16);
// Both operands rounded to bf16, f32 sums on the tensor cores.
Status product_bf16(Device* device, const Product& p);
// The same by cuBLASLt; falls back to product_bf16 for a shape that it has no algorithm for.
Status cublaslt_product(Device* device, const Product& p);

__device__ inline void store_product(const Product& p, int64_t i, int64_t j, float sum) {
  if (i >= p.rows || j >= p.cols) return;
  if (p.bias) sum += p.bias[j];
  float& to = p.c[i * p.cols + j];
  to = p.accumulate ? to + sum : sum;
}

}  // namespace winnow::cuda
