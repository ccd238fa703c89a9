// openSession, sessionInfo, availableBytes, closeSession, cancelCall.
#include "addon/arguments.h"
#include "addon/exports.h"
#include "addon/handles.h"

namespace winnow::addon {
namespace {

constexpr int kMostThreads = 1024;

constexpr int kMostDevices = 64;

const Ops& ops_of_device(int device, int index) {
  switch (device) {
    case 0:
      return cpu_ops();
    case 1:
      return reference_ops();
    default:
      return cuda_ops(index);
  }
}

Napi::Value open_session(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const Fields options(info[0], "options");
    const int device = options.choice("device", {"cpu", "reference", "cuda"});
    const int index = options.has("deviceIndex")
                          ? static_cast<int>(options.integer("deviceIndex", 0, kMostDevices - 1))
                          : 0;
    const int threads = static_cast<int>(options.integer("threads", 0, kMostThreads));
    return make_handle(env, Session::open(env, ops_of_device(device, index), index,
                                          threads == 0 ? available_cores() : threads));
  });
}

Napi::Value session_info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const std::shared_ptr<Session> session = session_of(info[0]);
    Napi::Object result = Napi::Object::New(env);
    result.Set("device", session->ops().name);
    result.Set("instructions", session->ops().instructions);
    result.Set("threads", session->context().pool.threads());
    return result;
  });
}

Napi::Value available_bytes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const std::shared_ptr<Session> session = session_of(info[0]);
    return Napi::Number::New(env, static_cast<double>(session->ops().available_bytes(session->context())));
  });
}

Napi::Value close_session(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard_promise(env, [&]() -> Napi::Value { return session_of(info[0])->close(env); });
}

Napi::Value cancel_call(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const std::shared_ptr<Session> session = session_of(info[0]);
    if (!info[1].IsNumber()) fail_argument("id", "a number", describe_value(info[1]));
    session->cancel(static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value()));
    return env.Undefined();
  });
}

}  // namespace

void export_session(Napi::Env env, Napi::Object exports) {
  exports.Set("openSession", Napi::Function::New(env, open_session, "openSession"));
  exports.Set("sessionInfo", Napi::Function::New(env, session_info, "sessionInfo"));
  exports.Set("availableBytes", Napi::Function::New(env, available_bytes, "availableBytes"));
  exports.Set("closeSession", Napi::Function::New(env, close_session, "closeSession"));
  exports.Set("cancelCall", Napi::Function::New(env, cancel_call, "cancelCall"));
}

}  // namespace winnow::addon
