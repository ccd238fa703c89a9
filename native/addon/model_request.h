// Readers of what several exports share: the model configuration, number formats, the model of a call.
#pragma once

#include "addon/arguments.h"
#include "addon/handles.h"
#include "model/adapter.h"
#include "model/config.h"

namespace winnow::addon {

// The fields of NativeModelConfig, for a model of `dtype`, in which keys and values are unless it says
// otherwise; validated (ERR_MODEL_CONFIG).
ModelConfig read_model_config(const Fields& config, DType dtype);

// The fields of NativeAdapterConfig; checked against a model when it is used (ERR_ADAPTER_*).
AdapterConfig read_adapter_config(const Fields& adapter);

// "f32" or "bf16".
DType read_dtype(const Fields& request, const char* name);

// The body of an export (model, ..., control): `prepare(model)` reads the arguments and returns the Work.
template <typename Prepare>
Napi::Value model_call(const Napi::CallbackInfo& info, size_t control_index, Prepare prepare) {
  const Napi::Env env = info.Env();
  return guard_promise(env, [&]() -> Napi::Value {
    const std::shared_ptr<ModelEntry> model = usable_model_of(info[0]);
    const CallControl control = read_control(info[control_index]);
    return model->session->submit(env, control, prepare(model));
  });
}

inline Result undefined_result() {
  return [](Napi::Env env) { return env.Undefined(); };
}

}  // namespace winnow::addon
