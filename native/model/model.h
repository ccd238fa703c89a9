// A model's weights, and its forward and backward passes over a batch of the token forest.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/ops.h"
#include "model/adapter.h"
#include "model/config.h"
#include "model/kv_store.h"
#include "tensor/buffer.h"

namespace winnow {

class SafetensorsReader;

// One tensor in the forms a run needs. `source` is what the weights mean: a read-only mapping while
// the model only runs (in memory only where it was read since it was packed), the f32 master once it trains.
struct Parameter {
  ParameterSpec spec;
  View source;          // (rows, cols), f32, bf16 or f16
  PackedWeight packed;  // linear layers, and the embedding when the head is tied
  Buffer packed_storage;
  // f32 vectors (norms, biases) and adapters always; f32 master of other matrices that train
  Buffer value;
  Buffer gradient;          // f32, only of what trains
  Buffer moment1, moment2;  // the same; in f32, or as u8 codes with their scales
  Buffer moment1_scale, moment2_scale;
  Buffer master_rest;  // there instead of `value` and `source` where the packed weight is the master
  Parameter *adapter_a = nullptr, *adapter_b = nullptr;  // of an adapted layer's weight
};

// How what trains is kept. Moments of matrices in f32, or in 8 bits with a scale for every block; masters of
// matrices in f32 beside the packed weight, or, of linear layers, as the packed weight and what rounding cut
// off: the same masters, bit for bit.
enum class MomentForm : uint8_t { kF32, k8Bit };
enum class MasterForm : uint8_t { kF32, kPacked };
struct TrainingForms {
  MomentForm moments = MomentForm::kF32;
  MasterForm masters = MasterForm::kF32;
};

// Of one tensor, without its packed form.
struct TrainingBytes {
  int64_t masters, gradients, moments;
};
TrainingBytes training_bytes(const ParameterSpec& spec, DType dtype, const TrainingForms& forms);

// Rows of masters that exist as f32 at once where the packed weight is the master; a whole number of blocks
// of moments whatever the width is.
inline constexpr int64_t kMasterChunkRows = kMomentBlock;

// A batch ready for the kernels. Rows are tokens.
struct ForwardBatch {
  std::vector<int32_t> tokens, positions, slots;  // (M) each
  AttentionPlan plan;
  std::vector<int32_t> dropout_keys;  // (M, 2): the adapter's, low word first; empty: nothing is dropped
};

class Activations;  // what the backward pass needs; see activations.h
class ActivationSource;
struct ModelState;  // see model_state.h
class Workspace;    // see workspace.h

class Model {
 public:
  Model(Context& context, const Ops& ops, ModelConfig config, DType dtype);
  ~Model();

  // Takes weights from files (which stay mapped) or from Philox normals (std 0.02, norms 1, biases 0). A
  // value head is 0 where no file has one.
  void load(std::shared_ptr<SafetensorsReader> files);
  void initialise(uint64_t seed, float standard_deviation);
  // Safetensors under the Hugging Face names; neither a tied head nor a value head is written. Throws
  // ERR_ADAPTER_STATE where there is an adapter, which would be lost.
  void save(const std::string& path, DType dtype) const;

  // Adds an adapter to the loaded weights, which are frozen from then on: A from `files` or uniform in
  // +-1/sqrt(K), B from `files` or 0, so that a new adapter changes nothing. Throws ERR_ADAPTER_STATE where
  // there is one or the model trains, ERR_ADAPTER_*, ERR_TENSOR_*.
  void add_adapter(const AdapterConfig& config, const SafetensorsReader& files);
  void add_adapter(const AdapterConfig& config, uint64_t seed);
  // Null without one.
  const AdapterConfig* adapter() const;
  // Off: the weights alone. What a pass left for later (keys, activations) must not be used across a switch.
  void switch_adapter(bool on);
  // PEFT's adapter_model.safetensors, f32.
  void save_adapter(const std::string& path) const;
  // The weights with s B A added in f32 to those that are adapted, then rounded to `dtype`.
  void save_merged(const std::string& path, DType dtype) const;

  const ModelConfig& config() const;
  DType dtype() const;
  const Ops& ops() const;
  Context& context() const;
  std::span<Parameter> parameters();
  std::span<const Parameter> parameters() const;
  Parameter& parameter(std::string_view name);  // throws ERR_TENSOR_MISSING

  // Masters (from `source`), gradients and moments (zero) of what trains, which is the adapter where there
  // is one (its masters stay in f32): made on first use. A parameter trains if it has a gradient. Throws
  // ERR_MEMORY_PLAN before touching anything when they exceed the memory that is available.
  void enable_training(const TrainingForms& forms = {});
  bool trains() const;
  // Of a parameter whose packed weight is its master: rows [first, first + count) as f32, valid until the
  // next call; and back. At most kMasterChunkRows, from a multiple of it.
  View unpack_masters(const Parameter& parameter, int64_t first, int64_t count) const;
  void pack_masters(Parameter& parameter, View value, int64_t first);
  // The f32 values of a parameter that trains, in host memory; `storage` owns a copy if one was needed.
  View host_values(const Parameter& parameter, std::vector<std::byte>& storage) const;
  void pack();  // packed weights from `source`; after every optimizer step, of what trains

  // hidden (M, D) set: the final norm's output. Keys and values are written to `store`. With
  // `activations`, keeps what backward needs.
  void forward(const ForwardBatch& batch, KeyValueStore& store, View hidden, Activations* activations);
  // dhidden (M, D): gradient of `hidden`, overwritten. Accumulates into the gradients there are.
  void backward(const ForwardBatch& batch, KeyValueStore& store, View dhidden, ActivationSource& activations);
  // After a forward pass that kept the layers' inputs alone: where backward finds the rest, each layer's
  // forward pass done again into `one_layer`, to the same bits, when backward asks for it.
  std::unique_ptr<ActivationSource> recomputed(const ForwardBatch& batch, KeyValueStore& store,
                                               Activations& inputs, Activations& one_layer);
  // hidden (M, D) set from activations that are there already.
  void final_norm(View hidden, ActivationSource& activations);
  // logits (M, V) set = hidden (M, D) . head^T
  void head(View logits, View hidden);
  // Its gradient: dhidden (M, D) set; the head's weight gradient acc.
  void head_backward(View dhidden, View dlogits, View hidden);

  // values (M, 1) set = hidden (M, D) . value head^T, in f32. Throws ERR_VALUE_HEAD without one.
  void value(View values, View hidden);
  // Its gradient: dhidden (M, D) set; the value head's gradient acc.
  void value_backward(View dhidden, View dvalues, View hidden);
  // The value head alone, f32, under the name it has in transformers' sequence classifiers.
  void save_value_head(const std::string& path) const;

  // Buffers that outlive a call, so that a steady-state step allocates nothing.
  Workspace& workspace();

 private:
  std::unique_ptr<ModelState> state_;
};

}  // namespace winnow
