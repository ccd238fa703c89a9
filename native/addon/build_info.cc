// buildInfo, backends: what this build is and what this machine can run.
#include <string>

#include "addon/errors.h"
#include "addon/exports.h"
#include "backend/ops.h"

namespace winnow::addon {
namespace {

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#else
  return "unknown";
#endif
}

Napi::Value build_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  result.Set("version", WINNOW_VERSION);
  result.Set("builder", WINNOW_BUILDER);
  result.Set("compiler", compiler());
  result.Set("napiVersion", NAPI_VERSION);
  Napi::Array sets = Napi::Array::New(env);
  uint32_t count = 0;
  for (const char* set : {"avx2", "avx512", "avx512bf16", "avx512amx"}) sets.Set(count++, set);
  result.Set("instructionSets", sets);
  return result;
}

Napi::Object report(Napi::Env env, const char* device, const Ops& (*ops)()) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("device", device);
  try {
    result.Set("detail", ops().instructions);
    result.Set("usable", true);
  } catch (const Error& error) {
    std::string detail = error.what();
    if (!error.received.empty()) detail += " (" + error.received + ")";
    if (!error.hint.empty()) detail += "; " + error.hint;
    result.Set("code", error.code);
    result.Set("detail", detail);
    result.Set("usable", false);
  }
  return result;
}

Napi::Value backends(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    Napi::Array result = Napi::Array::New(env);
    result.Set(0u, report(env, "cpu", cpu_ops));
    result.Set(1u, report(env, "reference", reference_ops));
    result.Set(2u, report(env, "cuda", []() -> const Ops& { return cuda_ops(); }));
    return result;
  });
}

}  // namespace

void export_build_info(Napi::Env env, Napi::Object exports) {
  exports.Set("buildInfo", Napi::Function::New(env, build_info, "buildInfo"));
  exports.Set("backends", Napi::Function::New(env, backends, "backends"));
}

}  // namespace winnow::addon
