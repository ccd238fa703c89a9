// Checks of what `sample` is given, shared by the backends.
#pragma once

#include <cmath>
#include <string>

#include "backend/ops.h"
#include "backend/shapes.h"

namespace winnow {

inline void require_sample_options(const SampleRow& row, int64_t index) {
  const bool valid = row.temperature >= 0 && std::isfinite(row.temperature) && row.top_k >= 0 &&
                     row.top_p >= 0 && row.top_p <= 1 && row.min_p >= 0 && row.min_p <= 1;
  WINNOW_CHECK(valid, "ERR_OPTION", "[sample] the options of row " + std::to_string(index) + " do not fit",
               "temperature >= 0, top_k >= 0, top_p and min_p in [0, 1]",
               "temperature " + std::to_string(row.temperature) + ", top_k " + std::to_string(row.top_k) +
                   ", top_p " + std::to_string(row.top_p) + ", min_p " + std::to_string(row.min_p));
}

// Throws ERR_SHAPE or ERR_OPTION; the logits themselves are not read.
inline void require_sample(const View& tokens, const View& logprob, const View& logits,
                           const SampleRow* rows) {
  const int64_t count = logits.rows(), vocabulary = logits.cols();
  require_shape("sample", "logits", logits, count, vocabulary);
  require_shape("sample", "tokens", tokens, count, 1, DType::kI32);
  require_shape("sample", "logprob", logprob, count, 1);
  WINNOW_CHECK(count == 0 || vocabulary > 0, "ERR_SHAPE", "[sample] the vocabulary is empty");
  for (int64_t m = 0; m < count; ++m) require_sample_options(rows[m], m);
}

}  // namespace winnow
