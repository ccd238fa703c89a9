// The module: registers every group of exports and holds no state of its own.
#include "addon/exports.h"

namespace winnow::addon {
namespace {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  export_build_info(env, exports);
  export_session(env, exports);
  export_model(env, exports);
  export_adapter(env, exports);
  export_score(env, exports);
  export_generate(env, exports);
  export_training(env, exports);
  export_benchmark(env, exports);
  return exports;
}

NODE_API_MODULE(winnow, initialise)

}  // namespace
}  // namespace winnow::addon
