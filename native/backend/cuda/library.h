// The functions of the table that have no other header, and how the library finds its parts.
#pragma once

#include "backend/cuda/device.h"

namespace winnow::cuda {

Arena* make_arena();
void free_arena(Arena* arena);
MemoryUse memory(Device* device);
Status allocate(Device* device, size_t size_bytes, void** data);
Status release(Device* device, void* data);
Status download(Device* device, void* host_to, const void* from, size_t size_bytes);
Status copy(Device* device, void* to, const void* from, size_t size_bytes);
Status zero(Device* device, void* data, size_t size_bytes);
Status available(Device* device, uint64_t* host_bytes);
Status reserve(Device* device, size_t size_bytes);

Status pack_weight(Device* device, void* to, const void* from, int32_t format, bool bf16, int64_t count);
Status linear_forward(Device* device, float* out, const float* x, const void* weight, const float* bias,
                      int64_t m, int64_t n, int64_t k, bool bf16, bool accumulate);
Status linear_backward_input(Device* device, float* dx, const float* dout, const void* weight, int64_t m,
                             int64_t n, int64_t k, bool bf16, bool accumulate);
Status linear_backward_weight(Device* device, float* dweight, const float* dout, const float* x, int64_t m,
                              int64_t n, int64_t k, bool bf16);
Status bias_backward(Device* device, float* dbias, const float* dout, int64_t m, int64_t n);
Status gather(Device* device, float* out, const void* table, const int32_t* rows, int32_t format, bool bf16,
              int64_t m, int64_t table_rows, int64_t width, FaultSource source);
Status scatter_add(Device* device, float* table, const float* from, const int32_t* rows, int64_t m,
                   int64_t table_rows, int64_t width, FaultSource source);
Status rms_norm_forward(Device* device, float* out, float* rstd, const float* x, const float* weight,
                        int64_t m, int64_t width, float epsilon);
Status rms_norm_backward(Device* device, float* dx, float* dweight, const float* dout, const float* x,
                         const float* rstd, const float* weight, int64_t m, int64_t width, bool accumulate);
Status rope(Device* device, float* x, const float* cosine, const float* sine, int64_t m, int64_t heads,
            int64_t half, bool inverse);
Status swiglu_forward(Device* device, float* out, const float* gate, const float* up, int64_t count);
Status swiglu_backward(Device* device, float* dgate, float* dup, const float* dout, const float* gate,
                       const float* up, int64_t count);
Status kv_write(Device* device, const KeyValues* to, const float* k, const float* v, const int32_t* slots,
                int64_t m);
Status rope_kv_write(Device* device, const KeyValues* to, float* q, float* k, const float* v,
                     const int32_t* slots, const float* cosine, const float* sine, int64_t m, int64_t heads);
Status attention_forward(Device* device, const Attention* call);
Status attention_backward(Device* device, const Attention* call, const AttentionGradients* gradients);
Status softmax_statistics(Device* device, float* lse, float* logprob, float* entropy, const float* logits,
                          const int32_t* targets, int64_t m, int64_t vocabulary, float inverse_temperature);
Status softmax_backward(Device* device, float* logits, const float* lse, const float* entropy,
                        const int32_t* targets, const float* dlogprob, const float* dentropy, int64_t m,
                        int64_t vocabulary, float inverse_temperature);
Status policy_loss(Device* device, const PolicyLossArguments* call, PolicySums* host_sums);
Status sample(Device* device, int32_t* tokens, float* logprob, const float* logits, const Sampling* host_rows,
              int64_t m, int64_t vocabulary);
Status scale(Device* device, float* x, int64_t count, float factor);
Status dropout(Device* device, float* out, const float* x, const int32_t* keys, int64_t m, int64_t width,
               float probability, uint32_t stream, bool accumulate);
Status squared_norm(Device* device, const float* x, int64_t count, double* host_sum);
Status adamw(Device* device, float* value, float* moment1, float* moment2, const float* gradient,
             int64_t count, const AdamwFactors* factors);
Status adamw_8bit(Device* device, float* value, const Moments* moments, const float* gradient, int64_t count,
                  const AdamwFactors* factors);
Status pack_master(Device* device, uint16_t* weight, uint8_t* rest, const float* value, int64_t m, int64_t k);
Status unpack_master(Device* device, float* value, const uint16_t* weight, const uint8_t* rest, int64_t m,
                     int64_t k);

// A small product by each kernel, compared with numbers worked out on the host.
Status self_test(Device* device);

// Opens cuBLASLt where there is one and names it in `info`, where the note says why not otherwise.
CublasLt* open_cublaslt(GemmChoice choice, DeviceInfo* info);
void close_cublaslt(CublasLt* library);

}  // namespace winnow::cuda
