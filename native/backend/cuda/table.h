// The border between the engine and winnow_cuda.so: a table of C functions over plain data.
//
// The library has no C++ runtime of its own to disagree with ours: no exception, no container and no virtual
// function crosses. Every function returns a Status; shapes are checked on the engine's side (ops.cc).
// Pointers are device memory unless their name begins with `host_`. Work is queued on the device's one
// stream; only `download`, `policy_loss` and `squared_norm` wait for it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace winnow::cuda {

// Changes with every change of this file; a library with another one is refused.
constexpr uint32_t kTableVersion = 5;

enum Status : int32_t {
  kOk,
  kNoDriver,        // no NVIDIA driver is installed
  kDriverTooOld,    // older than the runtime in the library
  kNoDevice,        // the driver sees no device
  kNoSuchDevice,    // not this many
  kNotBuiltFor,     // no kernel for this device's architecture
  kSelfTestFailed,  // the device gave a wrong result
  kOutOfMemory,
  kBadIndex,   // take_fault tells which
  kNonFinite,  // take_fault tells where
  kFailed      // last_error tells why
};

// Which products of two matrices the library makes itself.
enum Gemm : int32_t { kGemmAuto, kGemmOwn, kGemmCublasLt };
// How cuBLASLt's algorithm for a shape is chosen: its own first, or the fastest of some that are timed.
enum GemmChoice : int32_t { kChoiceHeuristic, kChoiceTimed };

struct Device;  // of the library

struct DeviceInfo {
  char name[128];
  char gemm[64];        // "own", or the cuBLASLt that was opened
  char gemm_note[256];  // why cuBLASLt is not used, or what opening failed on
  int32_t devices;
  int32_t capability;  // 90 for compute capability 9.0
  int32_t multiprocessors;
  int32_t driver_version, runtime_version;  // 13000 for 13.0; driver 0: none
  uint64_t total_bytes, free_bytes;
};

struct MemoryUse {
  uint64_t held_bytes;  // taken from the device
  uint64_t used_bytes;  // of them handed out
};

// The first wrong number that a kernel met since the last wait.
struct Fault {
  int32_t kind;  // a Status; 0: none
  int32_t operation, row, value, extent;
};

enum class FaultSource : int32_t { kNone, kToken, kIndex, kSlot, kTarget, kLogits };

struct Sampling {  // one row; winnow::SampleRow
  float temperature, top_p, min_p;
  int32_t top_k;
  float uniform;  // the draw
};

struct PolicyLossArguments {
  float* dlogprob;
  float* dentropy;  // may be null
  const float *logprob, *old_logprob, *advantage, *weight;
  const float *reference_logprob, *entropy;  // may be null
  int64_t rows;
  double clip_low, clip_high, kl_coefficient, entropy_coefficient;
};

struct PolicySums {
  double loss, policy_loss, kl, entropy, log_ratio, absolute_log_ratio, max_absolute_log_ratio, clipped,
      entries;
};

struct AdamwFactors {
  float scale, beta1, one_minus_beta1, beta2, one_minus_beta2, decay, negative_step, root_correction, epsilon;
};

// Moments in 8 bits: codes of one byte an entry, and a scale for every kMomentEntries of them.
struct Moments {
  uint8_t* codes1;
  float* scales1;
  uint8_t* codes2;
  float* scales2;
};
constexpr int kMomentEntries = 256;

// A token forest, flattened by the engine (plan.cc) into one array of words in host memory, group after
// group. The library keeps what it made of the last one with tiles of keys and of the last one without, so
// that every layer of a pass finds it there.
struct Plan {
  const int32_t* host_words;
  int64_t words;
  int32_t segments;  // (segments, 4): first row, rows, position of the first, where its path begins
  int32_t runs;      // (runs, 3): where in the paths, slot (block * 16 + lane) of the first key, keys
  int32_t tiles;  // (tiles, 3): segment, first query of at most kTileQueries, chunks that shared tiles take
  int32_t shared_tiles;  // (shared_tiles, 4): segment, first query, queries (at most kSharedQueries), chunk
  int32_t
      key_tiles;    // (key_tiles, 5): row, keys (at most kTileKeys), offset in its uses, first use, last + 1
  int32_t uses;     // (uses, 2): segment, position of the key at offset 0; in the order of rows
  int64_t entries;  // of all paths together: a slot for every position
  int64_t longest;  // positions of the longest path
};
constexpr int kTileQueries = 8, kTileKeys = 8;
// Queries whose paths have all positions of a chunk in common take it together: query i of a shared tile is
// of the segment i / G behind the tile's, all of one row each.
constexpr int kSharedQueries = 32, kChunkKeys = 256;

struct KeyValues {  // winnow::KeyValueLayer
  void *keys, *values;
  int64_t blocks, kv_heads, head_dim;
  bool bf16;  // else f32
};

struct Attention {
  const float* q;
  const void *key_cache, *value_cache;
  bool cache_bf16;   // else f32
  float *out, *lse;  // lse may be null
  int64_t rows;
  int32_t heads, kv_heads, head_dim;
  float scale;
  Plan plan;
};

struct AttentionGradients {
  float *dq, *dk, *dv;
  const float* dout;
};

struct Table {
  uint32_t version, size_bytes;
  const char* architectures;  // "sm_80 sm_90a compute_90"

  Status (*probe)(int32_t ordinal, DeviceInfo* host_info);
  Status (*open)(int32_t ordinal, Gemm gemm, GemmChoice choice, Device** device, DeviceInfo* host_info);
  void (*close)(Device*);
  Status (*enter)(Device*);  // makes it the calling thread's device; before any of what follows
  Status (*take_fault)(Device*, Fault* host_fault);  // of the last wait
  const char* (*last_error)(Device*);
  MemoryUse (*memory)(Device*);

  Status (*allocate)(Device*, size_t size_bytes, void** data);
  Status (*release)(Device*, void* data);
  Status (*upload)(Device*, void* to, const void* host_from, size_t size_bytes);
  Status (*download)(Device*, void* host_to, const void* from, size_t size_bytes);
  Status (*copy)(Device*, void* to, const void* from, size_t size_bytes);
  Status (*zero)(Device*, void* data, size_t size_bytes);
  Status (*available)(Device*, uint64_t* host_bytes);  // free on the device, and held but not handed out
  Status (*reserve)(Device*, size_t size_bytes);       // winnow::Ops::reserve

  // `format` is a winnow::DType: 0 f32, 1 bf16, 2 f16; weights are row-major (N, K) of f32 or bf16.
  Status (*pack_weight)(Device*, void* to, const void* from, int32_t format, bool bf16, int64_t count);
  Status (*linear_forward)(Device*, float* out, const float* x, const void* weight, const float* bias,
                           int64_t m, int64_t n, int64_t k, bool bf16, bool accumulate);
  Status (*linear_backward_input)(Device*, float* dx, const float* dout, const void* weight, int64_t m,
                                  int64_t n, int64_t k, bool bf16, bool accumulate);
  Status (*linear_backward_weight)(Device*, float* dweight, const float* dout, const float* x, int64_t m,
                                   int64_t n, int64_t k, bool bf16);
  Status (*bias_backward)(Device*, float* dbias, const float* dout, int64_t m, int64_t n);

  Status (*gather)(Device*, float* out, const void* table, const int32_t* rows, int32_t format, bool bf16,
                   int64_t m, int64_t table_rows, int64_t width, FaultSource source);
  Status (*scatter_add)(Device*, float* table, const float* from, const int32_t* rows, int64_t m,
                        int64_t table_rows, int64_t width, FaultSource source);
  Status (*rms_norm_forward)(Device*, float* out, float* rstd, const float* x, const float* weight, int64_t m,
                             int64_t width, float epsilon);
  Status (*rms_norm_backward)(Device*, float* dx, float* dweight, const float* dout, const float* x,
                              const float* rstd, const float* weight, int64_t m, int64_t width,
                              bool accumulate);
  Status (*rope)(Device*, float* x, const float* cosine, const float* sine, int64_t m, int64_t heads,
                 int64_t half, bool inverse);
  Status (*swiglu_forward)(Device*, float* out, const float* gate, const float* up, int64_t count);
  Status (*swiglu_backward)(Device*, float* dgate, float* dup, const float* dout, const float* gate,
                            const float* up, int64_t count);

  Status (*kv_write)(Device*, const KeyValues* to, const float* k, const float* v, const int32_t* slots,
                     int64_t m);
  Status (*rope_kv_write)(Device*, const KeyValues* to, float* q, float* k, const float* v,
                          const int32_t* slots, const float* cosine, const float* sine, int64_t m,
                          int64_t heads);
  Status (*attention_forward)(Device*, const Attention* call);
  Status (*attention_backward)(Device*, const Attention* call, const AttentionGradients* gradients);

  Status (*softmax_statistics)(Device*, float* lse, float* logprob, float* entropy, const float* logits,
                               const int32_t* targets, int64_t m, int64_t vocabulary,
                               float inverse_temperature);
  Status (*softmax_backward)(Device*, float* logits, const float* lse, const float* entropy,
                             const int32_t* targets, const float* dlogprob, const float* dentropy, int64_t m,
                             int64_t vocabulary, float inverse_temperature);
  Status (*policy_loss)(Device*, const PolicyLossArguments* call, PolicySums* host_sums);
  Status (*sample)(Device*, int32_t* tokens, float* logprob, const float* logits, const Sampling* host_rows,
                   int64_t m, int64_t vocabulary);
  Status (*scale)(Device*, float* x, int64_t count, float factor);
  Status (*dropout)(Device*, float* out, const float* x, const int32_t* keys, int64_t m, int64_t width,
                    float probability, uint32_t stream, bool accumulate);
  Status (*squared_norm)(Device*, const float* x, int64_t count, double* host_sum);
  Status (*adamw)(Device*, float* value, float* moment1, float* moment2, const float* gradient, int64_t count,
                  const AdamwFactors* factors);
  Status (*adamw_8bit)(Device*, float* value, const Moments* moments, const float* gradient, int64_t count,
                       const AdamwFactors* factors);
  // m rows of k masters as bf16 weights (m, k) and what rounding cut off (m, 2k + a bit each); and back.
  Status (*pack_master)(Device*, uint16_t* weight, uint8_t* rest, const float* value, int64_t m, int64_t k);
  Status (*unpack_master)(Device*, float* value, const uint16_t* weight, const uint8_t* rest, int64_t m,
                          int64_t k);
};

}  // namespace winnow::cuda

extern "C" const winnow::cuda::Table* winnow_cuda_table();
