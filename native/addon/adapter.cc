// addAdapter, saveAdapter, saveMerged.
#include <utility>

#include "addon/exports.h"
#include "addon/model_request.h"
#include "io/safetensors.h"

namespace winnow::addon {
namespace {

Napi::Value add_adapter(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    const Fields request(info[1], "addAdapter");
    const AdapterConfig config = read_adapter_config(request.nested("config"));
    const Fields source = request.nested("source");
    std::string path;
    uint64_t seed = 0;
    if (source.choice("kind", {"file", "random"}) == 0)
      path = source.text("path");
    else
      seed = static_cast<uint64_t>(source.integer("seed", 0, (1ll << 53) - 1));
    return [entry, config, path, seed](const CancelToken&, const Progress&) -> Result {
      if (path.empty())
        entry->model->add_adapter(config, seed);
      else
        entry->model->add_adapter(config, SafetensorsReader({path}));
      entry->measure_memory();
      return [entry](Napi::Env env) {
        entry->report_memory(env);
        return env.Undefined();
      };
    };
  });
}

Napi::Value save_adapter(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    return [entry, path = Fields(info[1], "saveAdapter").text("path")](const CancelToken&,
                                                                       const Progress&) -> Result {
      entry->model->save_adapter(path);
      return undefined_result();
    };
  });
}

Napi::Value save_merged(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    const Fields request(info[1], "saveMerged");
    return [entry, path = request.text("path"), dtype = read_dtype(request, "dtype")](
               const CancelToken&, const Progress&) -> Result {
      entry->model->save_merged(path, dtype);
      return undefined_result();
    };
  });
}

}  // namespace

void export_adapter(Napi::Env env, Napi::Object exports) {
  exports.Set("addAdapter", Napi::Function::New(env, add_adapter, "addAdapter"));
  exports.Set("saveAdapter", Napi::Function::New(env, save_adapter, "saveAdapter"));
  exports.Set("saveMerged", Napi::Function::New(env, save_merged, "saveMerged"));
}

}  // namespace winnow::addon
