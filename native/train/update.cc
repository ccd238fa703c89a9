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

void step(Model& model, const UpdateOptions& options, float gradient_scale) {
  for (Parameter& parameter : model.parameters()) {
    if (!parameter.gradient) continue;
    AdamwOptions adamw = options.adamw;
    adamw.gradient_scale = gradient_scale;
    if (!options.decays[static_cast<size_t>(parameter.spec.group)]) adamw.weight_decay = 0;
    model.ops().adamw(model.context(), parameter.value.view(), parameter.moment1.view(),
                      parameter.moment2.view(), parameter.gradient.view(), adamw);
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
