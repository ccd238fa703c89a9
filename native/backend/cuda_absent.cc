// Stands in for backend/cuda/ in a build without CUDA.
#include "backend/ops.h"
#include "base/error.h"

namespace winnow {

const Ops& cuda_ops() {
  throw Error("ERR_CUDA_NOT_BUILT", "this build of the addon has no CUDA backend", "a build with CUDA",
              "a CPU-only build", "rebuild with the CUDA toolkit installed, or use device 'cpu'");
}

}  // namespace winnow
