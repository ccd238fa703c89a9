#include "addon/handles.h"

#include "addon/arguments.h"

namespace winnow::addon {
namespace {

// The address of a variable of this library differs for every copy of it in the process: a handle made
// by another copy, whose objects may be laid out otherwise, is refused too.
template <typename T>
const napi_type_tag& tag_of() {
  static const char anchor = 0;
  static const napi_type_tag tag = {reinterpret_cast<uint64_t>(&anchor), 0x77696e6e6f772121ull};
  return tag;
}

template <typename T>
Napi::Object wrap(Napi::Env env, std::shared_ptr<T> target) {
  Napi::Object handle = Napi::Object::New(env);
  auto holder = std::make_unique<std::shared_ptr<T>>(std::move(target));
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<T>*>(data); };
  if (napi_wrap(env, handle, holder.get(), finalize, nullptr, nullptr) != napi_ok)
    throw Error("ERR_INTERNAL", "a handle could not be made");
  holder.release();
  handle.TypeTag(&tag_of<T>());
  handle.Freeze();
  return handle;
}

template <typename T>
std::shared_ptr<T> unwrap(Napi::Value value, const char* expected) {
  void* data = nullptr;
  const bool fits = value.IsObject() && !value.IsFunction() &&
                    value.As<Napi::Object>().CheckTypeTag(&tag_of<T>()) &&
                    napi_unwrap(value.Env(), value, &data) == napi_ok;
  if (!fits)
    throw Error("ERR_HANDLE", "wrong handle", expected, describe_value(value),
                "handles come from openSession and createModel and stay in their thread");
  return *static_cast<std::shared_ptr<T>*>(data);
}

}  // namespace

Napi::Object make_handle(Napi::Env env, std::shared_ptr<Session> session) {
  return wrap(env, std::move(session));
}
Napi::Object make_handle(Napi::Env env, std::shared_ptr<ModelEntry> model) {
  return wrap(env, std::move(model));
}

std::shared_ptr<Session> session_of(Napi::Value value) { return unwrap<Session>(value, "a session handle"); }
std::shared_ptr<ModelEntry> model_of(Napi::Value value) {
  return unwrap<ModelEntry>(value, "a model handle");
}

std::shared_ptr<ModelEntry> usable_model_of(Napi::Value value) {
  std::shared_ptr<ModelEntry> model = model_of(value);
  if (model->disposed)
    throw Error("ERR_DISPOSED", "the model was disposed", "a live model", "", "create it again");
  model->session->require_open();
  return model;
}

}  // namespace winnow::addon
