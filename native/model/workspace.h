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

class Workspace {
 public:
  Workspace(Context& context, const Ops& ops, const ModelConfig& config);

  View view(Slot slot, std::initializer_list<int64_t> shape, DType dtype = DType::kF32);
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
  Activations& grown(std::unique_ptr<Activations>& held, int layers, int64_t rows, Keep keep);

  Context& context_;
  const Ops& ops_;
  const ModelConfig& config_;
  std::array<Buffer, static_cast<size_t>(Slot::kCount)> buffers_;
  std::unique_ptr<KeyValueStore> store_;
  std::unique_ptr<Activations> activations_, layer_inputs_, layer_activations_;
  ActivationCache activation_cache_;
  PrefixCache prefix_cache_;
};

}  // namespace winnow
