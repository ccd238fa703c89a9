#include "model/workspace.h"

#include <algorithm>

namespace winnow {

Buffer allocate_buffer(Context& context, const Ops& ops, std::initializer_list<int64_t> shape, DType dtype) {
  View view(nullptr, dtype, shape);
  view.data = ops.allocate(context, std::max<size_t>(view.size_bytes(), 64));
  return Buffer(view, [&context, &ops](void* data) { ops.release(context, data); });
}

Workspace::Workspace(Context& context, const Ops& ops, const ModelConfig& config)
    : context_(context),
      ops_(ops),
      config_(config),
      activation_cache_(context, ops, config),
      prefix_cache_(context, ops, config) {}

Reservation Workspace::reserve(const WorkingSize& size, int64_t size_bytes) {
  if (size_bytes <= planned_bytes_ && size.rows <= planned_.rows && size.computed <= planned_.computed &&
      size.one_layer <= planned_.one_layer && size.blocks <= planned_.blocks)
    return {};
  release_working();
  Reservation reservation(context_, ops_, std::max(planned_bytes_, size_bytes));
  planned_ = {std::max(planned_.rows, size.rows), std::max(planned_.computed, size.computed),
              std::max(planned_.one_layer, size.one_layer), std::max(planned_.blocks, size.blocks)};
  planned_bytes_ = std::max(planned_bytes_, size_bytes);
  return reservation;
}

// Masters belong to the optimizer, not to a pass.
void Workspace::release_working() {
  for (size_t slot = 0; slot < buffers_.size(); ++slot)
    if (static_cast<Slot>(slot) != Slot::kMasters) buffers_[slot].reset();
  store_.reset();
  activations_.reset();
  layer_inputs_.reset();
  layer_activations_.reset();
}

View Workspace::rows_view(Slot slot, int64_t rows, int64_t width) {
  view(slot, {std::max(rows, planned_.rows), width});
  return view(slot, {rows, width});
}

View Workspace::view(Slot slot, std::initializer_list<int64_t> shape, DType dtype) {
  Buffer& buffer = buffers_[static_cast<size_t>(slot)];
  View view(nullptr, dtype, shape);
  if (!buffer || buffer.view().size_bytes() < view.size_bytes()) {
    buffer.reset();  // before the larger one is allocated
    buffer = allocate_buffer(context_, ops_, shape, dtype);
  }
  view.data = buffer.view().data;
  return view;
}

View Workspace::upload(Slot slot, std::span<const float> values, std::initializer_list<int64_t> shape) {
  const View device = view(slot, shape);
  WINNOW_DCHECK(device.size() == static_cast<int64_t>(values.size()));
  ops_.upload(context_, device.data, values.data(), device.size_bytes());
  return device;
}

View Workspace::upload(Slot slot, std::span<const float> values) {
  return upload(slot, values, {static_cast<int64_t>(values.size())});
}

View Workspace::upload(Slot slot, std::span<const int32_t> values) {
  const View device = view(slot, {static_cast<int64_t>(values.size())}, DType::kI32);
  ops_.upload(context_, device.data, values.data(), device.size_bytes());
  return device;
}

KeyValueStore& Workspace::store(int64_t blocks) {
  if (!store_ || store_->blocks() < blocks) {
    store_.reset();
    store_ = std::make_unique<KeyValueStore>(context_, ops_, config_, std::max(blocks, planned_.blocks));
  }
  WINNOW_CHECK(store_->free_blocks() == store_->blocks(), "ERR_INTERNAL",
               "the working KV store still has blocks in use");
  return *store_;
}

Activations& Workspace::activations(int64_t rows) {
  return grown(activations_, config_.layers, rows, planned_.computed, Keep::kAll);
}

Activations& Workspace::layer_inputs(int64_t rows) {
  return grown(layer_inputs_, config_.layers, rows, planned_.computed, Keep::kLayerInputs);
}

Activations& Workspace::layer_activations(int64_t rows) {
  return grown(layer_activations_, 1, rows, planned_.one_layer, Keep::kAllAndKeys);
}

Activations& Workspace::grown(std::unique_ptr<Activations>& held, int layers, int64_t rows, int64_t planned,
                              Keep keep) {
  if (!held || held->capacity() < rows) {
    held.reset();  // before the larger one is allocated
    held = std::make_unique<Activations>(context_, ops_, config_, layers, std::max(rows, planned), keep);
  }
  held->bind(0, rows);
  return *held;
}

void Workspace::forget_computed() {
  activation_cache_.clear();
  prefix_cache_.clear();
}

int64_t Workspace::size_bytes() const {
  return working_bytes() + activation_cache_.size_bytes() + prefix_cache_.size_bytes();
}

int64_t Workspace::working_bytes() const {
  size_t total = 0;
  for (const Buffer& buffer : buffers_) total += buffer.view().size_bytes();
  if (store_) total += KeyValueStore::size_bytes(config_, store_->blocks());
  for (const Activations* held : {activations_.get(), layer_inputs_.get(), layer_activations_.get()})
    if (held) total += static_cast<size_t>(held->size_bytes());
  return static_cast<int64_t>(total);
}

}  // namespace winnow
