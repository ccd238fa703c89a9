// createModel, disposeModel, saveModel, saveValueHead, readTensor.
#include <algorithm>
#include <cmath>
#include <utility>

#include "addon/exports.h"
#include "addon/model_request.h"
#include "backend/moment_codes.h"
#include "io/safetensors.h"
#include "model/room.h"

namespace winnow::addon {
namespace {

// Where the weights come from: files, or random numbers when there are none.
struct Source {
  std::vector<std::string> paths;
  uint64_t seed = 0;
  float standard_deviation = 0;
};

Source read_source(const Fields& source) {
  Source result;
  if (source.choice("kind", {"files", "random"}) == 0) {
    result.paths = source.texts("paths");
    if (result.paths.empty()) fail_argument(source.path("paths"), "at least one file", "an empty array");
  } else {
    result.seed = static_cast<uint64_t>(source.integer("seed", 0, (1ll << 53) - 1));
    result.standard_deviation = static_cast<float>(source.number("standardDeviation", 0, 100));
  }
  return result;
}

// Refuses a model that cannot fit before anything of it is allocated: the packed weights, and for a
// random model the f32 numbers that they are packed from. In doubles, as hostile sizes overflow.
void require_weight_memory(Session& session, const ModelConfig& config, DType dtype, bool from_files) {
  constexpr double kMost = 4e18;
  double packed = 0, values = 0;
  for (const ParameterSpec& spec : parameter_specs(config)) {
    const double elements = static_cast<double>(spec.rows) * static_cast<double>(spec.cols);
    const bool is_packed =
        spec.kind == ParameterKind::kLinear || (spec.kind == ParameterKind::kEmbedding && config.tied_head);
    if (is_packed)
      packed += elements > kMost / 8
                    ? kMost / 8
                    : static_cast<double>(session.ops().packed_weight_bytes(spec.rows, spec.cols, dtype));
    if (!from_files) values += 4 * elements;
  }
  const auto text = [](double bytes) { return std::to_string(std::llround(bytes / (1 << 20))) + " MiB"; };
  require_memory(session.context(), session.ops(), static_cast<int64_t>(std::min(packed + values, kMost)),
                 "packed weights " + text(packed) + ", initial values " + text(values),
                 "use a smaller model, or bf16");
}

Napi::Value create_model(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard_promise(env, [&]() -> Napi::Value {
    const std::shared_ptr<Session> session = session_of(info[0]);
    session->require_open();
    const Fields request(info[1], "createModel");
    const CallControl control = read_control(info[2]);
    const DType dtype = read_dtype(request, "dtype");
    const ModelConfig config = read_model_config(request.nested("config"), dtype);
    const Source source = read_source(request.nested("source"));
    const auto entry = std::make_shared<ModelEntry>(session);
    Work work = [entry, config, dtype, source](const CancelToken& cancel, const Progress&) -> Result {
      require_weight_memory(*entry->session, config, dtype, !source.paths.empty());
      auto model = std::make_unique<Model>(entry->session->context(), entry->session->ops(), config, dtype);
      if (source.paths.empty())
        model->initialise(source.seed, source.standard_deviation);
      else
        model->load(std::make_shared<SafetensorsReader>(source.paths));
      cancel.throw_if_cancelled();
      entry->model = std::move(model);
      entry->measure_memory();
      return [entry](Napi::Env env) {
        entry->report_memory(env);
        return make_handle(env, entry);
      };
    };
    const Napi::Promise promise = session->submit(env, control, std::move(work));
    session->add_model(entry);
    return promise;
  });
}

Napi::Value dispose_model(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard_promise(env, [&]() -> Napi::Value {
    const std::shared_ptr<ModelEntry> entry = model_of(info[0]);
    entry->disposed = true;
    // A closed session has freed its models; one that is closing will have when its close is done.
    if (entry->session->closed()) return entry->session->close(env);
    return entry->session->submit(env, {}, [entry](const CancelToken&, const Progress&) -> Result {
      entry->release();
      return [entry](Napi::Env env) {
        entry->report_memory(env);
        return env.Undefined();
      };
    });
  });
}

Napi::Value save_model(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    const Fields request(info[1], "save");
    return [entry, path = request.text("path"), dtype = read_dtype(request, "dtype")](
               const CancelToken&, const Progress&) -> Result {
      entry->model->save(path, dtype);
      return undefined_result();
    };
  });
}

Napi::Value save_value_head(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    return [entry, path = Fields(info[1], "saveValueHead").text("path")](const CancelToken&,
                                                                         const Progress&) -> Result {
      entry->model->save_value_head(path);
      return undefined_result();
    };
  });
}

// Any of the float formats, as f32.
std::vector<float> widen(const View& host) {
  std::vector<float> values(static_cast<size_t>(host.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    switch (host.dtype) {
      case DType::kBF16:
        values[i] = bf16_to_f32(host.as<const bf16>()[i]);
        break;
      case DType::kF16:
        values[i] = f16_to_f32(host.as<const f16>()[i]);
        break;
      default:
        values[i] = host.as<const float>()[i];
        break;
    }
  }
  return values;
}

std::vector<float> download(Model& model, const Buffer& buffer) {
  std::vector<float> values(static_cast<size_t>(buffer.view().size()));
  model.ops().download(model.context(), values.data(), buffer.view().data, values.size() * sizeof(float));
  return values;
}

// Codes of 8 bits as what they stand for.
std::vector<float> decode(Model& model, const Buffer& codes, const Buffer& scales, int what) {
  std::vector<uint8_t> bytes(static_cast<size_t>(codes.view().size()));
  model.ops().download(model.context(), bytes.data(), codes.view().data, bytes.size());
  const std::vector<float> scale = download(model, scales);
  std::vector<float> values(bytes.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const float own = scale[i / static_cast<size_t>(kMomentBlock)];
    values[i] = static_cast<float>(what == 2 ? decode_moment1(bytes[i], own) : decode_moment2(bytes[i], own));
  }
  return values;
}

std::vector<float> read_parameter(Model& model, const std::string& name, int what) {
  const Parameter& parameter = model.parameter(name);
  if (what == 0 && parameter.master_rest) {
    std::vector<std::byte> storage;
    return widen(model.host_values(parameter, storage));
  }
  if (what == 0) return parameter.value ? download(model, parameter.value) : widen(parameter.source);
  const Buffer* buffers[] = {&parameter.gradient, &parameter.moment1, &parameter.moment2};
  const Buffer& buffer = *buffers[what - 1];
  if (!buffer)
    throw Error("ERR_NOT_TRAINING", "the model keeps no gradients or moments", "a model after enableTraining",
                "a model that only runs", "call enableTraining first");
  if (buffer.view().dtype == DType::kU8)
    return decode(model, buffer, what == 2 ? parameter.moment1_scale : parameter.moment2_scale, what);
  return download(model, buffer);
}

Napi::Value read_tensor(const Napi::CallbackInfo& info) {
  return model_call(info, 2, [&](const std::shared_ptr<ModelEntry>& entry) -> Work {
    const Fields request(info[1], "readTensor");
    const int what = request.choice("what", {"value", "gradient", "moment1", "moment2"});
    return [entry, what, name = request.text("name")](const CancelToken&, const Progress&) -> Result {
      return [values = read_parameter(*entry->model, name, what)](Napi::Env env) {
        return to_float32_array(env, values);
      };
    };
  });
}

}  // namespace

void export_model(Napi::Env env, Napi::Object exports) {
  exports.Set("createModel", Napi::Function::New(env, create_model, "createModel"));
  exports.Set("disposeModel", Napi::Function::New(env, dispose_model, "disposeModel"));
  exports.Set("saveModel", Napi::Function::New(env, save_model, "saveModel"));
  exports.Set("saveValueHead", Napi::Function::New(env, save_value_head, "saveValueHead"));
  exports.Set("readTensor", Napi::Function::New(env, read_tensor, "readTensor"));
}

}  // namespace winnow::addon
