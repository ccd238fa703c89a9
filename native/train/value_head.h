// The value head's part of a gradient.
#pragma once

#include <cstdint>
#include <span>

#include "base/cancel.h"
#include "model/model.h"

namespace winnow {

// For the loss whose derivative by the value of row rows[i] of `hidden` (M, D) is dvalues[i]: `dhidden`
// (M, D) acc, and the value head's gradient acc, `chunk_rows` rows at a time. A row may stand there twice.
void backward_values(Model& model, View hidden, View dhidden, std::span<const int32_t> rows,
                     std::span<const float> dvalues, int chunk_rows, const CancelToken& cancel);

}  // namespace winnow
