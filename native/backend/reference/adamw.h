// One entry's step of AdamW, in double; optimizer.cc has the formula.
#pragma once

#include <cmath>

#include "backend/ops.h"

namespace winnow::reference {

struct AdamwFactors {
  double gradient_scale, beta1, beta2, correction1, correction2, learning_rate, decay, epsilon;

  explicit AdamwFactors(const AdamwOptions& options)
      : gradient_scale(static_cast<double>(options.gradient_scale)),
        beta1(static_cast<double>(options.beta1)),
        beta2(static_cast<double>(options.beta2)),
        correction1(1.0 - std::pow(beta1, static_cast<double>(options.step))),
        correction2(1.0 - std::pow(beta2, static_cast<double>(options.step))),
        learning_rate(static_cast<double>(options.learning_rate)),
        decay(1.0 - learning_rate * static_cast<double>(options.weight_decay)),
        epsilon(static_cast<double>(options.epsilon)) {}

  float stepped(float value, double m, double v) const {
    const double step = (m / correction1) / (std::sqrt(v / correction2) + epsilon);
    return static_cast<float>(static_cast<double>(value) * decay - learning_rate * step);
  }
};

}  // namespace winnow::reference
