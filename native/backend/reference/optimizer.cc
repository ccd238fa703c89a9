// AdamW (Loshchilov & Hutter 2019, algorithm 2, with the decay scaled by the learning rate as in PyTorch):
//   g = gradient * gradient_scale     m = beta1 m + (1 - beta1) g     v = beta2 v + (1 - beta2) g^2
//   value = value (1 - lr decay) - lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon)
// squared_norm = sum of x^2.
#include "backend/optimizer_shapes.h"
#include "backend/reference/adamw.h"
#include "backend/reference/reference.h"

namespace winnow::reference {

double squared_norm(Context&, View x) {
  require_shape("squared_norm", "x", x, x.rows(), x.cols());
  double sum = 0;
  for (int64_t i = 0; i < x.size(); ++i) sum += static_cast<double>(at(x, i)) * static_cast<double>(at(x, i));
  return sum;
}

void adamw(Context&, View value, View moment1, View moment2, View gradient, AdamwOptions options) {
  require_f32_moments("adamw", value, moment1, moment2, gradient);
  const AdamwFactors f(options);
  for (int64_t i = 0; i < value.size(); ++i) {
    const double g = static_cast<double>(at(gradient, i)) * f.gradient_scale;
    const double m = f.beta1 * static_cast<double>(at(moment1, i)) + (1.0 - f.beta1) * g;
    const double v = f.beta2 * static_cast<double>(at(moment2, i)) + (1.0 - f.beta2) * g * g;
    at(value, i) = f.stepped(at(value, i), m, v);
    at(moment1, i) = static_cast<float>(m);
    at(moment2, i) = static_cast<float>(v);
  }
}

}  // namespace winnow::reference
