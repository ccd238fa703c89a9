// THE SEAM: every operation that a backend provides.
//
// Rules of the contract
// - All views are dense row-major f32 unless a comment says otherwise. Shapes stand beside each name:
//   M rows (tokens), N outputs, K inputs, D width, F feed-forward width, V vocabulary, H query heads,
//   Hk key/value heads, Dh head width (H is a multiple of Hk).
// - "set" overwrites, "acc" adds to what is there. Outputs never alias inputs unless said.
// - A result depends on the operands of its own row alone, bit for bit: never on M, on the other rows,
//   on the number of threads or on how keys are spread over blocks (except where an op reduces over
//   rows; those reduce in row order).
// - Products of dtype kBF16 round both operands to bf16 and accumulate in f32.
// - Extents may be odd, and M may be 0 or 1. An op throws winnow::Error("ERR_SHAPE", ...) on
//   mismatched shapes before it touches anything.
// - An index out of range is ERR_INDEX_RANGE before anything is written. Where the host does not wait for the
//   device, that and ERR_NON_FINITE come from the next call that does: download, policy_loss, squared_norm.
#pragma once

#include <cstdint>
#include <span>

#include "backend/attention_plan.h"
#include "base/thread_pool.h"
#include "tensor/view.h"

namespace winnow {

// What an operation may use besides its operands. One per session; passed, never global.
struct Context {
  ThreadPool& pool;
  int device = 0;  // of several of a kind: N of cuda:N
};

// A weight (N, K) in the backend's own layout, made by pack_weight; data is `packed_weight_bytes` long,
// 64-byte aligned, from Ops::allocate.
struct PackedWeight {
  void* data = nullptr;
  int64_t n = 0, k = 0;
  DType dtype = DType::kF32;  // kF32 or kBF16: the format of products with this weight
};

// One of several products that read the same rows: out (M, N) set = x . weight^T + bias (N, or empty).
struct LinearOutput {
  View out;
  PackedWeight weight;
  View bias;
};

// The gradient of one of them: dout (M, N), and that of the weight (N, K), or empty: nobody asks for it.
struct LinearGradient {
  View dout;
  PackedWeight weight;
  View dweight;
};

// The weights of a feed-forward block, all of one format, and its norm (D).
struct FeedForwardWeights {
  View norm;
  float epsilon;
  PackedWeight gate, up, down;
};
// Gradients (F, D), (F, D), (D, F) of its weights; empty: nobody asks for them.
struct FeedForwardGradients {
  View gate, up, down;
};
// Working room of it: undefined before and afterwards.
struct FeedForwardRoom {
  View normed, gate, up, activated;  // (M, D), (M, F), (M, F), (M, F)
};

struct SampleRow {
  float temperature;  // 0 = greedy: the smallest index among the largest logits
  int32_t top_k;      // 0 = off
  float top_p;        // 1 = off
  float min_p;        // 0 = off
  uint64_t seed;      // the draw is sampling_uniform(seed, prompt, sample, position)
  uint64_t prompt;
  uint32_t sample;
  uint32_t position;
};

// A log-probability's loss is pg + kl_coefficient * k3 - entropy_coefficient * entropy, times weight.
struct PolicyLossOptions {
  float clip_low = 0.2f;  // ratio is clipped to [1 - clip_low, 1 + clip_high]
  float clip_high = 0.2f;
  float kl_coefficient = 0.0f;
  float entropy_coefficient = 0.0f;
};

struct PolicyLossSums {  // sums over entries with weight != 0, each times its weight unless said
  double loss = 0, policy_loss = 0, kl = 0, entropy = 0;
  double log_ratio = 0;               // sum of w * (logp - old)
  double absolute_log_ratio = 0;      // sum of w * |logp - old|
  double max_absolute_log_ratio = 0;  // plain maximum
  int64_t clipped = 0, entries = 0;   // plain counts
};

struct DropoutOptions {
  float probability = 0;  // in [0, 1)
  uint32_t stream = 0;    // tells apart the layers that drop entries of the same rows
};

// AdamW's moments in 8 bits an entry, each with the scale of its block of kMomentBlock entries in row-major
// order; moment_codes.h says what a code means. Codes have the size of the value, scales one entry a block.
inline constexpr int64_t kMomentBlock = 256;
struct QuantisedMoments {
  View codes1, scales1, codes2, scales2;  // u8, f32, u8, f32
};

// Bytes of a row of K masters besides the packed weight: what rounding to its format lost. For bf16 the low
// half of each master, then a bit for each that was rounded up (away from zero); for f32 nothing.
constexpr int64_t master_rest_bytes(int64_t k, DType dtype) {
  return dtype == DType::kBF16 ? 2 * k + (k + 7) / 8 : 0;
}
inline constexpr int64_t kAllocationUnit = 256;  // what Ops::allocate may round a size up to, in bytes
inline constexpr int64_t kMasterRows = 16;       // rows of masters are packed and read in multiples of it

struct AdamwOptions {
  float learning_rate = 0, beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f, weight_decay = 0;
  float gradient_scale = 1;  // multiplies the gradient first (clipping)
  int64_t step = 1;          // 1-based, for the bias correction
};

struct Ops {
  const char* name;          // "reference" | "cpu" | "cuda"
  const char* instructions;  // "scalar", "avx2", "avx512", "avx512bf16", "avx512amx", "sm_90", ...

  // ---- memory: contents are undefined after allocate; all sizes in bytes -------------------------
  void* (*allocate)(Context&, size_t size_bytes);  // 64-byte aligned; throws ERR_OUT_OF_MEMORY
  void (*release)(Context&, void* data);           // never throws, even where the device has failed
  void (*upload)(Context&, void* device, const void* host, size_t size_bytes);
  void (*download)(Context&, void* host, const void* device, size_t size_bytes);
  void (*copy)(Context&, void* to, const void* from, size_t size_bytes);
  void (*zero)(Context&, void* data, size_t size_bytes);
  // What can still be allocated: of the host, or of the device, where the backend's memory is. The largest
  // int64 where that is not known.
  int64_t (*available_bytes)(Context&);
  // Takes `size_bytes` of the device's memory now, at once, and ends the reservation before it. What is
  // allocated until the next call comes from there as far as it fits, each size rounded up to
  // kAllocationUnit. The memory goes back when the reservation has ended and nothing in it is allocated. 0
  // only ends, and never throws. Nothing happens where memory is the host's. Throws ERR_OUT_OF_MEMORY.
  void (*reserve)(Context&, size_t size_bytes);

  // ---- linear ------------------------------------------------------------------------------------
  size_t (*packed_weight_bytes)(int64_t n, int64_t k, DType dtype);
  // source (N, K) of dtype f32, bf16 or f16, rounded to weight.dtype.
  void (*pack_weight)(Context&, PackedWeight weight, View source);
  // out (M, N) set = x (M, K) . weight^T + bias (N, or empty); with `accumulate`: out acc.
  // Each output is one chain of fused multiply-adds in the order of k, started at zero; on AMX, in bf16, a
  // chain of sums over 32 terms.
  void (*linear_forward)(Context&, View out, View x, PackedWeight weight, View bias, bool accumulate);
  // dx (M, K) set = dout (M, N) . weight; with `accumulate`: dx acc. Chain in the order of n.
  void (*linear_backward_input)(Context&, View dx, View dout, PackedWeight weight, bool accumulate);
  // dweight (N, K) acc += dout (M, N)^T . x (M, K), products in `dtype`, rows in order.
  void (*linear_backward_weight)(Context&, View dweight, View dout, View x, DType dtype);
  // The two above for products that read the same x (M, K) and whose weights have one format, with their
  // bits: dweights acc; dx (M, K) set to the sum over `gradients`, in order. dx may not alias x or a dout.
  void (*linear_backward)(Context&, View dx, std::span<const LinearGradient> gradients, View x);
  // dbias (N) acc += column sums of dout (M, N), rows in order.
  void (*bias_backward)(Context&, View dbias, View dout);

  // ---- embedding ---------------------------------------------------------------------------------
  // out (M, D) set = rows of table (V, D; f32, bf16 or f16) at tokens (M, i32), rounded to `dtype`.
  void (*embedding_forward)(Context&, View out, View tokens, View table, DType dtype);
  // dtable (V, D) acc, rows of dout (M, D) in order.
  void (*embedding_backward)(Context&, View dtable, View dout, View tokens);

  // ---- norm: y = x * rsqrt(mean(x^2) + epsilon) * weight -------------------------------------------
  // out (M, D) set; rstd (M) set, or empty. Also used per head with M = tokens * heads, D = Dh.
  void (*rms_norm_forward)(Context&, View out, View rstd, View x, View weight, float epsilon);
  // dx (M, D) set, or acc with `accumulate` (dx may then hold the residual's gradient);
  // dweight (D) acc, or empty: nobody asks for it. With set, dx may alias dout.
  void (*rms_norm_backward)(Context&, View dx, View dweight, View dout, View x, View rstd, View weight,
                            bool accumulate);

  // ---- rotary embedding, halves layout (x[i], x[i + Dh/2]) -----------------------------------------
  // x (M, heads, Dh) in place; cosine, sine (M, Dh/2). `inverse` rotates back (the gradient).
  void (*rope)(Context&, View x, View cosine, View sine, bool inverse);

  // ---- attention over the token forest --------------------------------------------------------------
  // Writes k, v (M, Hk*Dh) to the layer; slots (M, i32) = block * kKeyBlock + lane.
  void (*kv_write)(Context&, KeyValueLayer layer, View k, View v, View slots);
  // `rope` of q (M, H*Dh) and k (M, Hk*Dh), in place, and `kv_write` of that k and v, in one pass with the
  // same bits; cosine, sine (M, Dh/2).
  void (*rope_kv_write)(Context&, KeyValueLayer layer, View q, View k, View v, View slots, View cosine,
                        View sine);
  // out (M, H*Dh) set; lse (M, H) set to log sum exp of the scaled scores, or empty; q (M, H*Dh).
  // Sums over keys run in lanes of position % kKeyBlock, in order of position. Calls with the same `pass`,
  // unless it is 0, have the same plan, unchanged: what was made of it is used again.
  void (*attention_forward)(Context&, View out, View lse, View q, KeyValueLayer layer,
                            const AttentionPlan& plan, float scale, uint64_t pass);
  // dq (M, H*Dh), dk, dv (M, Hk*Dh) set. Every key of the plan has a batch row (KeyRun::row >= 0).
  void (*attention_backward)(Context&, View dq, View dk, View dv, View dout, View out, View q, View lse,
                             KeyValueLayer layer, const AttentionPlan& plan, float scale, uint64_t pass);

  // ---- feed-forward: silu(gate) * up -----------------------------------------------------------------
  void (*swiglu_forward)(Context&, View out, View gate, View up);  // (M, F) set
  void (*swiglu_backward)(Context&, View dgate, View dup, View dout, View gate,
                          View up);  // set; dgate,
                                     // dup may alias gate, up

  // ---- norm and feed-forward in one pass with the products that read them -----------------------------
  // The bits of the calls one by one. `normed` (M, D) and `activated` (M, F) are set to what the products
  // read where `keep`; else they are working room, undefined afterwards.
  // `rms_norm_forward` of x, then `linear_forward` of each of `outputs`, whose weights have one format.
  void (*norm_linear_forward)(Context&, std::span<const LinearOutput> outputs, View normed, View rstd, View x,
                              View weight, float epsilon, bool keep);
  // `swiglu_forward` of gate and up, then `linear_forward` without bias.
  void (*swiglu_linear_forward)(Context&, View out, View activated, View gate, View up, PackedWeight weight,
                                bool accumulate, bool keep);
  // A whole block of which nothing is kept: out (M, D) acc = down . (silu(gate . n) * (up . n)) with n the
  // `rms_norm_forward` of x (M, D); out may alias x.
  void (*feed_forward)(Context&, View out, View x, const FeedForwardWeights& weights,
                       const FeedForwardRoom& room);
  // The gradient of a block: dnormed (M, D) set, dweights acc, of dout (M, D); normed (M, D) as the norm gave
  // it. gate and up (M, F), the products, are undefined afterwards; activated and dactivated (M, F) are room.
  void (*feed_forward_backward)(Context&, View dnormed, const FeedForwardGradients& dweights, View dout,
                                View normed, View gate, View up, const FeedForwardWeights& weights,
                                View activated, View dactivated);

  // ---- head --------------------------------------------------------------------------------------
  // out (M, D) set = rows of x at indices (M, i32); and its gradient, dx acc in row order.
  void (*gather_rows)(Context&, View out, View x, View indices);
  void (*scatter_add_rows)(Context&, View dx, View dout, View indices);
  // With z = logits (M, V) * inverse_temperature: lse (M) set, logprob (M) set = z[target] - lse,
  // entropy (M) set (or empty) = -sum p log p. targets (M, i32). Sums in lanes of v % 16.
  void (*softmax_statistics)(Context&, View lse, View logprob, View entropy, View logits, View targets,
                             float inverse_temperature);
  // In place logits -> dlogits of sum_m dlogprob[m] * logprob[m] + dentropy[m] * entropy[m].
  // entropy and dentropy may both be empty.
  void (*softmax_backward)(Context&, View logits, View lse, View entropy, View targets, View dlogprob,
                           View dentropy, float inverse_temperature);
  // Clipped surrogate (PPO, Schulman et al. 2017; asymmetric clip as in DAPO, Yu et al. 2025) with the
  // k3 estimator of KL(policy || reference) (Schulman, "Approximating KL divergence", 2020).
  // All (M): logprob, old_logprob, reference_logprob (or empty), advantage, weight, entropy (or empty)
  // -> dlogprob set, dentropy set (or empty). `weight` carries mask and normaliser.
  PolicyLossSums (*policy_loss)(Context&, View dlogprob, View dentropy, View logprob, View old_logprob,
                                View reference_logprob, View advantage, View weight, View entropy,
                                PolicyLossOptions options);
  // Draws one token a row: tokens (M, i32) set; logprob (M) set = log softmax(logits / temperature) of
  // it over the whole vocabulary (temperature 1 for greedy rows). Filters apply in the order
  // temperature, top_k, top_p, min_p; ties keep the smaller index; the kept mass is walked in index order.
  void (*sample)(Context&, View tokens, View logprob, View logits, const SampleRow* rows);

  // ---- low-rank adapter ------------------------------------------------------------------------------
  // x of any shape in place: every entry times `factor`.
  void (*scale)(Context&, View x, float factor);
  // out (M, K) set, or acc with `accumulate`: x (M, K), where an entry becomes 0 with the probability of
  // `options` and is else divided by 1 - probability (Srivastava et al. 2014). Entry (m, k) is dropped when
  // draw k of dropout_bits(key of row m, stream) is below the probability: it depends on keys
  // (M, 2; i32, low word first), stream and k alone.
  void (*dropout)(Context&, View out, View x, View keys, DropoutOptions options, bool accumulate);

  // ---- optimizer -----------------------------------------------------------------------------------
  double (*squared_norm)(Context&, View x);  // fixed order, whatever the number of threads
  // AdamW (Loshchilov & Hutter 2019): value, moment1, moment2 in place; gradient read. All same size.
  void (*adamw)(Context&, View value, View moment1, View moment2, View gradient, AdamwOptions options);
  // The same with moments in 8 bits (Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization"):
  // they are read, stepped and used as f32, and rounded to the nearest code of the block's new scale.
  void (*adamw_8bit)(Context&, View value, QuantisedMoments moments, View gradient, AdamwOptions options);
  // Masters in the packed weight itself: of rows [first_row, first_row + R), a multiple of kMasterRows that
  // begins at one or the last rows. rest (N, master_rest_bytes(K); u8). weight and rest set from value (R,
  // K), finite; the weight as pack_weight makes it.
  void (*pack_master)(Context&, PackedWeight weight, View rest, View value, int64_t first_row);
  // value (R, K) set: what was packed, bit for bit.
  void (*unpack_master)(Context&, View value, PackedWeight weight, View rest, int64_t first_row);
};

const Ops& reference_ops();
const Ops& cpu_ops();  // the best instruction set of this machine; WINNOW_CPU=avx2|avx512|... lowers it
// Opens a device by number, once for the process; throws ERR_CUDA_NOT_BUILT, ERR_CUDA_NO_DRIVER, ...
// (docs/cuda.md).
const Ops& cuda_ops(int ordinal = 0);

}  // namespace winnow
