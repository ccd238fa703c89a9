// What each group of exports adds to the module; addon.cc calls them all.
#pragma once

#include "addon/napi_setup.h"

namespace winnow::addon {

void export_build_info(Napi::Env env, Napi::Object exports);
void export_session(Napi::Env env, Napi::Object exports);
void export_model(Napi::Env env, Napi::Object exports);
void export_adapter(Napi::Env env, Napi::Object exports);
void export_score(Napi::Env env, Napi::Object exports);
void export_generate(Napi::Env env, Napi::Object exports);
void export_training(Napi::Env env, Napi::Object exports);
void export_benchmark(Napi::Env env, Napi::Object exports);

}  // namespace winnow::addon
