#include "addon/model_entry.h"

namespace winnow::addon {

ModelEntry::~ModelEntry() {
  if (env_ != nullptr && reported_bytes_ != 0)
    Napi::MemoryManagement::AdjustExternalMemory(env_, -reported_bytes_);
  if (model)
    session->submit_release([owned = std::shared_ptr<Model>(std::move(model))]() mutable { owned.reset(); });
}

void ModelEntry::release() {
  model.reset();
  measured_bytes_ = 0;
}

void ModelEntry::measure_memory() {
  int64_t bytes = 0;
  for (const Parameter& parameter : model->parameters())
    for (const Buffer* buffer :
         {&parameter.packed_storage, &parameter.value, &parameter.gradient, &parameter.moment1,
          &parameter.moment2, &parameter.moment1_scale, &parameter.moment2_scale, &parameter.master_rest})
      bytes += static_cast<int64_t>(buffer->view().size_bytes());
  measured_bytes_ = bytes;
}

void ModelEntry::report_memory(Napi::Env env) {
  env_ = env;
  const int64_t measured = measured_bytes_;
  Napi::MemoryManagement::AdjustExternalMemory(env, measured - reported_bytes_);
  reported_bytes_ = measured;
}

}  // namespace winnow::addon
