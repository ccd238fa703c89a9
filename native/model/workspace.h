// Named working buffers: grown when a larger batch comes, never shrunk, contents undefined between uses.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>

#include "backend/ops.h"
#include "model/activation_cache.h"
#include "model/kv_store.h"
#include "model/prefix_cache.h"
#include "model/room.h"
#include "tensor/buffer.h"

namespace winnow {

// One array that lives during a pass. Two that live at the same time never share a slot.
enum class Slot : uint8_t {
  // forward and backward of the decoder
  kTokens,
  kKeySlots,
  kCachedRows,
  kCosine,
  kSine,
  kResidual,
  kNormed,
  kQueryRaw,
  kQuery,
  kKeyRaw,
  kKey,
  kValue,
  kAttended,
  kGate,
  kUp,
  kActivated,
  kDropoutKeys,
  kAdapterInput,
  kAdapterProduct,
  kAdapterGradient,
  kNormedGradient,
  kQueryGradient,
  kKeyGradient,
  kValueGradient,
  // the callers' own
  kHidden,
  kHiddenGradient,
  kHeadRows,
  kHeadHidden,
  kHeadHiddenGradient,
  kTargets,
  kLogits,
  kLogSumExp,
  kLogprob,
  kEntropy,
  kLogprobGradient,
  kEntropyGradient,
  kWeight,
  kAdvantage,
  kOldLogprob,
  kReferenceLogprob,
  kHeadValue,
  kValueHeadGradient,
  kMasters,
  kSampled,
  kPromptHidden,
  kCount,
};

// An owned array of `shape` in the backend's memory; contents undefined.
Buffer allocate_buffer(Context& context, const Ops& ops, std::initializer_list<int64_t> shape,
                       DType dtype = DType::kF32);

// The largest batches of a call.
struct WorkingSize {
  int64_t rows = 0;       // of any pass
  int64_t computed = 0;   // of a pass whose activations are kept
  int64_t one_layer = 0;  // of a pass that takes a layer's activations at a time
  int64_t blocks = 0;     // of the KV store
};

class Workspace {
 public:
  Workspace(Context& context, const Ops& ops, const ModelConfig& config);

  // Makes room at once for all that passes of that size work with, `size_bytes` together. Where more is asked
  // for than before, what is held is given up, so that it does not stand beside what takes its place.
  Reservation reserve(const WorkingSize& size, int64_t size_bytes);

  View view(Slot slot, std::initializer_list<int64_t> shape, DType dtype = DType::kF32);
  // (rows, width) of a pass over `rows` rows, in a buffer for as many rows as are planned.
  View rows_view(Slot slot, int64_t rows, int64_t width);
  View upload(Slot slot, std::span<const float> values, std::initializer_list<int64_t> shape);
  View upload(Slot slot, std::span<const float> values);    // (values)
  View upload(Slot slot, std::span<const int32_t> values);  // (values)

  // A store of at least `blocks` blocks, all of them free; valid until the next call.
  KeyValueStore& store(int64_t blocks);
  // Activations for `rows` rows; valid until the next call.
  Activations& activations(int64_t rows);
  // The inputs of all layers alone.
  Activations& layer_inputs(int64_t rows);
  // Everything for one layer, keys included.
  Activations& layer_activations(int64_t rows);
  ActivationCache& activation_cache() { return activation_cache_; }
  PrefixCache& prefix_cache() { return prefix_cache_; }
  // What depends on the weights and was computed with others.
  void forget_computed();
  int64_t size_bytes() const;     // held now, stores, activations and caches included
  int64_t working_bytes() const;  // the same without the caches, which outlive a pass

 private:
  void release_working();
  Activations& grown(std::unique_ptr<Activations>& held, int layers, int64_t rows, int64_t planned,
                     Keep keep);

  Context& context_;
  const Ops& ops_;
  const ModelConfig& config_;
  WorkingSize planned_;
  int64_t planned_bytes_ = 0;
  std::array<Buffer, static_cast<size_t>(Slot::kCount)> buffers_;
  std::unique_ptr<KeyValueStore> store_;
  std::unique_ptr<Activations> activations_, layer_inputs_, layer_activations_;
  ActivationCache activation_cache_;
  PrefixCache prefix_cache_;
};

}  // namespace winnow
