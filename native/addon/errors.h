// Failures on their way to JavaScript.
#pragma once

#include <string>

#include "addon/napi_setup.h"

namespace winnow::addon {

// A failure as plain data, so that it can leave the session's thread.
struct Failure {
  std::string code, message, expected, received, hint;
};

// What the exception being handled means; call only inside a catch block. winnow::Error keeps its
// fields, std::bad_alloc becomes ERR_OUT_OF_MEMORY, anything else ERR_INTERNAL.
Failure current_failure();

// An Error made now, so that its stack is the caller's; `fill_error` gives it its content later.
Napi::Error error_with_stack(Napi::Env env);
Napi::Value fill_error(const Napi::Error& error, const Failure& failure);

// Runs the body of a synchronous export; winnow::Error and friends are thrown to JavaScript.
template <typename Body>
Napi::Value guard(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    Napi::Error error = error_with_stack(env);
    fill_error(error, current_failure());
    throw error;
  }
}

// Runs the body of an export that returns a promise; failures while it is set up reject that promise.
template <typename Body>
Napi::Value guard_promise(Napi::Env env, Body body) {
  Napi::Promise::Deferred deferred(env);
  try {
    return body();
  } catch (const Napi::Error& error) {
    deferred.Reject(error.Value());
  } catch (...) {
    deferred.Reject(fill_error(error_with_stack(env), current_failure()));
  }
  return deferred.Promise();
}

}  // namespace winnow::addon
