// Random weights: normals from Philox, so that a value depends on (seed, tensor, element) alone.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/philox.h"
#include "model/host_memory.h"
#include "model/model_state.h"

namespace winnow {
namespace {

constexpr int64_t kUploadElements = 1 << 20;  // a multiple of the four values of one Philox call
constexpr int64_t kTaskElements = 1 << 14;

// Box and Muller (1958): two uniforms in (0, 1) make two independent normals.
void normals_from_bits(uint32_t first, uint32_t second, double* normals) {
  const double radius = std::sqrt(-2.0 * std::log((first + 0.5) * 0x1p-32));
  const double angle = 2.0 * std::numbers::pi * (second * 0x1p-32);
  normals[0] = radius * std::cos(angle);
  normals[1] = radius * std::sin(angle);
}

void fill_normals(float* to, int64_t begin, int64_t count, uint64_t seed, uint32_t tensor, double deviation) {
  for (int64_t offset = 0; offset < count; offset += 4) {
    const auto block = static_cast<uint64_t>((begin + offset) / 4);
    const auto bits =
        philox4x32(seed, {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), tensor, 0x1417});
    double normals[4];
    normals_from_bits(bits[0], bits[1], normals);
    normals_from_bits(bits[2], bits[3], normals + 2);
    for (int64_t i = 0; i < 4 && offset + i < count; ++i)
      to[offset + i] = static_cast<float>(normals[i] * deviation);
  }
}

void initialise_matrix(ModelState& state, View to, uint64_t seed, uint32_t tensor, double deviation) {
  std::vector<float> staged(static_cast<size_t>(std::min(kUploadElements, to.size())));
  for (int64_t begin = 0; begin < to.size(); begin += kUploadElements) {
    const int64_t count = std::min(kUploadElements, to.size() - begin);
    state.context.pool.parallel_for((count + kTaskElements - 1) / kTaskElements, [&](int64_t task, int) {
      const int64_t first = task * kTaskElements;
      fill_normals(staged.data() + first, begin + first, std::min(kTaskElements, count - first), seed, tensor,
                   deviation);
    });
    state.ops.upload(state.context, to.f32() + begin, staged.data(),
                     static_cast<size_t>(count) * sizeof(float));
  }
}

}  // namespace

void Model::initialise(uint64_t seed, float standard_deviation) {
  WINNOW_CHECK(!state_->trains && !state_->adapter, "ERR_INTERNAL",
               "a model that trains or has an adapter cannot be initialised again");
  for (size_t i = 0; i < state_->parameters.size(); ++i) {
    Parameter& parameter = state_->parameters[i];
    const ParameterSpec& spec = parameter.spec;
    if (&parameter == state_->value_head) {
      reset_value_head(*state_);
      continue;
    }
    const bool matrix = spec.kind == ParameterKind::kEmbedding || spec.kind == ParameterKind::kLinear;
    parameter.value = matrix ? allocate_buffer(state_->context, state_->ops, {spec.rows, spec.cols})
                             : allocate_buffer(state_->context, state_->ops, {spec.cols});
    parameter.source = parameter.value.view();
    if (matrix) {
      initialise_matrix(*state_, parameter.source, seed, static_cast<uint32_t>(i), standard_deviation);
    } else {
      const std::vector<float> constant(static_cast<size_t>(spec.cols), spec.kind == ParameterKind::kNorm);
      state_->ops.upload(state_->context, parameter.source.data, constant.data(),
                         constant.size() * sizeof(float));
    }
  }
  state_->files.reset();
  state_->embedding_table.reset();
  pack();
}

}  // namespace winnow
