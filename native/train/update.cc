#include <algorithm>
#include <cmath>

#include "train/trainer.h"

namespace winnow {
namespace {

constexpr double kClipEpsilon = 1e-6;  // as in torch.nn.utils.clip_grad_norm_

void measure_gradient(Model& model, UpdateResult& result) {
  double sum = 0;
  for (const Parameter& parameter : model.parameters()) {
    if (!parameter.gradient) continue;
    const double squared = model.ops().squared_norm(model.context(), parameter.gradient.view());
    const auto group = static_cast<size_t>(parameter.spec.group);
    sum += squared;
    result.group_norms[group] += squared;
    result.has_group[group] = true;
  }
  result.gradient_norm = std::sqrt(sum);
  for (double& norm : result.group_norms) norm = std::sqrt(norm);
}

// `value`: the parameter's rows from `first` on, which begin a block of moments.
void step_rows(Model& model, const Parameter& parameter, View value, int64_t first,
               const AdamwOptions& adamw) {
  const auto rows_of = [&](const Buffer& buffer) { return buffer.view().slice_rows(first, value.rows()); };
  if (!parameter.moment1_scale) {
    model.ops().adamw(model.context(), value, rows_of(parameter.moment1), rows_of(parameter.moment2),
                      rows_of(parameter.gradient), adamw);
    return;
  }
  const int64_t begin = first * parameter.spec.cols / kMomentBlock;
  const int64_t blocks = (value.size() + kMomentBlock - 1) / kMomentBlock;
  model.ops().adamw_8bit(
      model.context(), value,
      {rows_of(parameter.moment1), parameter.moment1_scale.view().slice_rows(begin, blocks),
       rows_of(parameter.moment2), parameter.moment2_scale.view().slice_rows(begin, blocks)},
      rows_of(parameter.gradient), adamw);
}

void step(Model& model, const UpdateOptions& options, float gradient_scale) {
  for (Parameter& parameter : model.parameters()) {
    if (!parameter.gradient) continue;
    AdamwOptions adamw = options.adamw;
    adamw.gradient_scale = gradient_scale;
    if (!options.decays[static_cast<size_t>(parameter.spec.group)]) adamw.weight_decay = 0;
    if (!parameter.master_rest) {
      step_rows(model, parameter, parameter.value.view(), 0, adamw);
      continue;
    }
    for (int64_t first = 0; first < parameter.spec.rows; first += kMasterChunkRows) {
      const int64_t count = std::min(kMasterChunkRows, parameter.spec.rows - first);
      const View value = model.unpack_masters(parameter, first, count);
      step_rows(model, parameter, value, first, adamw);
      model.pack_masters(parameter, value, first);
    }
  }
}

}  // namespace

void zero_gradients(Model& model) {
  for (const Parameter& parameter : model.parameters())
    if (const View gradient = parameter.gradient.view())
      model.ops().zero(model.context(), gradient.data, gradient.size_bytes());
}

UpdateResult apply_gradients(Model& model, const UpdateOptions& options) {
  WINNOW_CHECK(model.trains(), "ERR_NOT_TRAINING", "the model holds no gradients",
               "a model after enableTraining()");
  WINNOW_CHECK(options.adamw.step >= 1, "ERR_OPTION", "[apply_gradients] step is not usable", "at least 1",
               std::to_string(options.adamw.step));
  WINNOW_CHECK(options.max_gradient_norm >= 0, "ERR_OPTION",
               "[apply_gradients] max_gradient_norm is not usable", "0 or more",
               std::to_string(options.max_gradient_norm));
  UpdateResult result;
  measure_gradient(model, result);
  result.skipped = !std::isfinite(result.gradient_norm);
  if (!result.skipped) {
    double scale = 1;
    if (options.max_gradient_norm > 0)
      scale = std::min(
          1.0, static_cast<double>(options.max_gradient_norm) / (result.gradient_norm + kClipEpsilon));
    step(model, options, static_cast<float>(scale));
    model.pack();
  }
  zero_gradients(model);
  return result;
}

}  // namespace winnow
