#include "addon/errors.h"

#include <exception>
#include <new>

#include "base/error.h"

namespace winnow::addon {

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code, error.what(), error.expected, error.received, error.hint};
  } catch (const std::bad_alloc&) {
    return {"ERR_OUT_OF_MEMORY", "an allocation failed", "", "",
            "use smaller batches or a smaller model, or free memory"};
  } catch (const std::exception& error) {
    return {"ERR_INTERNAL", std::string("unexpected failure in the engine: ") + error.what(), "", "",
            "this is a bug in winnow; please report it"};
  } catch (...) {
    return {"ERR_INTERNAL", "unexpected failure in the engine", "", "",
            "this is a bug in winnow; please report it"};
  }
}

Napi::Error error_with_stack(Napi::Env env) { return Napi::Error::New(env, ""); }

Napi::Value fill_error(const Napi::Error& error, const Failure& failure) {
  Napi::Object object = error.Value();
  // Error.prototype.message is an own, non-enumerable property; Set keeps it so.
  object.Set("message", failure.message);
  object.Set("code", failure.code);
  const auto set_optional = [&](const char* name, const std::string& text) {
    if (!text.empty()) object.Set(name, text);
  };
  set_optional("expected", failure.expected);
  set_optional("received", failure.received);
  set_optional("hint", failure.hint);

  // The stack's first line was written when the message was still empty.
  const Napi::Value stack = object.Get("stack");
  if (stack.IsString()) {
    const std::string text = stack.As<Napi::String>().Utf8Value();
    const size_t frames = text.find("\n    at ");
    object.Set("stack",
               "Error: " + failure.message + (frames == std::string::npos ? "" : text.substr(frames)));
  }
  return object;
}

}  // namespace winnow::addon
