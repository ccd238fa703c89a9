// The token forest as the kernels want it.
#pragma once

#include <vector>

#include "backend/attention_plan.h"
#include "backend/cuda/table.h"

namespace winnow::cuda {

// Checks `plan` as every backend does and writes it to `words`, to which the result points. `group` is the
// number of query heads a kv head. With `gradients` the keys' tiles are made as well, and every key must have
// a row.
Plan flatten_plan(const char* op, const AttentionPlan& plan, const KeyValueLayer& layer, int64_t rows,
                  int group, bool gradients, std::vector<int32_t>& words);

}  // namespace winnow::cuda
