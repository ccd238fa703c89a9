// Opaque handles: frozen objects with a type tag, so that a wrong one is an error and never a crash.
#pragma once

#include <memory>

#include "addon/model_entry.h"
#include "addon/napi_setup.h"
#include "addon/session.h"

namespace winnow::addon {

Napi::Object make_handle(Napi::Env env, std::shared_ptr<Session> session);
Napi::Object make_handle(Napi::Env env, std::shared_ptr<ModelEntry> model);

// Throw ERR_HANDLE when the value is no handle of that kind made by this copy of the addon.
std::shared_ptr<Session> session_of(Napi::Value value);
std::shared_ptr<ModelEntry> model_of(Napi::Value value);

// Also throws ERR_DISPOSED and ERR_SESSION_CLOSED.
std::shared_ptr<ModelEntry> usable_model_of(Napi::Value value);

}  // namespace winnow::addon
