// SwiGLU (Shazeer 2020): out = silu(g) * u with silu(g) = g * s, s = 1 / (1 + exp(-g)). Gradients:
//   dg = dout * u * s * (1 + g * (1 - s))      du = dout * g * s
#include <cmath>

#include "backend/reference/reference.h"

namespace winnow::reference {
namespace {

double sigmoid(double value) { return 1.0 / (1.0 + std::exp(-value)); }

}  // namespace

void swiglu_forward(Context&, View out, View gate, View up) {
  const int64_t rows = gate.rows(), width = gate.cols();
  require_shape("swiglu_forward", "gate", gate, rows, width);
  require_shape("swiglu_forward", "up", up, rows, width);
  require_shape("swiglu_forward", "out", out, rows, width);
  for (int64_t i = 0; i < gate.size(); ++i) {
    const double g = static_cast<double>(at(gate, i));
    at(out, i) = static_cast<float>(g * sigmoid(g) * static_cast<double>(at(up, i)));
  }
}

void swiglu_backward(Context&, View dgate, View dup, View dout, View gate, View up) {
  const int64_t rows = gate.rows(), width = gate.cols();
  require_shape("swiglu_backward", "gate", gate, rows, width);
  require_shape("swiglu_backward", "up", up, rows, width);
  require_shape("swiglu_backward", "dout", dout, rows, width);
  require_shape("swiglu_backward", "dgate", dgate, rows, width);
  require_shape("swiglu_backward", "dup", dup, rows, width);
  for (int64_t i = 0; i < gate.size(); ++i) {
    const double g = static_cast<double>(at(gate, i)), u = static_cast<double>(at(up, i));
    const double dy = static_cast<double>(at(dout, i)), s = sigmoid(g);
    at(dgate, i) = static_cast<float>(dy * u * s * (1.0 + g * (1.0 - s)));
    at(dup, i) = static_cast<float>(dy * g * s);
  }
}

}  // namespace winnow::reference
