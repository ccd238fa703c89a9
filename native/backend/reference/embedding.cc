// Embedding and row selection: out[m] = table[index[m]]; the gradient of a row is the sum over the
// places that read it, dtable[index[m]] += dout[m].
#include <vector>

#include "backend/reference/reference.h"

namespace winnow::reference {
namespace {

// to[indices[m]] += from[m], each element summed in double and rounded once.
void add_rows(const View& to, const View& from, const View& indices) {
  const int64_t width = to.cols();
  std::vector<double> sums(static_cast<size_t>(to.size()), 0.0);
  std::vector<bool> touched(static_cast<size_t>(to.rows()), false);
  for (int64_t m = 0; m < indices.size(); ++m) {
    const int64_t row = index_at(indices, m);
    touched[static_cast<size_t>(row)] = true;
    for (int64_t d = 0; d < width; ++d)
      sums[static_cast<size_t>(row * width + d)] += static_cast<double>(at(from, m * width + d));
  }
  for (int64_t row = 0; row < to.rows(); ++row)
    for (int64_t i = row * width; touched[static_cast<size_t>(row)] && i < (row + 1) * width; ++i)
      at(to, i) = static_cast<float>(static_cast<double>(at(to, i)) + sums[static_cast<size_t>(i)]);
}

}  // namespace

void embedding_forward(Context&, View out, View tokens, View table, DType dtype) {
  const int64_t rows = tokens.rows(), vocabulary = table.rows(), width = table.cols();
  require_product_dtype("embedding_forward", dtype);
  require_shape("embedding_forward", "tokens", tokens, rows, 1, DType::kI32);
  require_numbers("embedding_forward", "table", table, vocabulary, width);
  require_shape("embedding_forward", "out", out, rows, width);
  require_indices("embedding_forward", "token", tokens, vocabulary);
  for (int64_t m = 0; m < rows; ++m) {
    const int64_t token = index_at(tokens, m);
    for (int64_t d = 0; d < width; ++d)
      at(out, m * width + d) = rounded(any_at(table, token * width + d), dtype);
  }
}

void embedding_backward(Context&, View dtable, View dout, View tokens) {
  const int64_t rows = tokens.rows();
  require_shape("embedding_backward", "tokens", tokens, rows, 1, DType::kI32);
  require_shape("embedding_backward", "dtable", dtable, dtable.rows(), dtable.cols());
  require_shape("embedding_backward", "dout", dout, rows, dtable.cols());
  require_indices("embedding_backward", "token", tokens, dtable.rows());
  add_rows(dtable, dout, tokens);
}

void gather_rows(Context&, View out, View x, View indices) {
  const int64_t rows = indices.rows(), width = x.cols();
  require_shape("gather_rows", "indices", indices, rows, 1, DType::kI32);
  require_shape("gather_rows", "x", x, x.rows(), width);
  require_shape("gather_rows", "out", out, rows, width);
  require_indices("gather_rows", "index", indices, x.rows());
  for (int64_t m = 0; m < rows; ++m) {
    const int64_t row = index_at(indices, m);
    for (int64_t d = 0; d < width; ++d) at(out, m * width + d) = at(x, row * width + d);
  }
}

void scatter_add_rows(Context&, View dx, View dout, View indices) {
  const int64_t rows = indices.rows();
  require_shape("scatter_add_rows", "indices", indices, rows, 1, DType::kI32);
  require_shape("scatter_add_rows", "dx", dx, dx.rows(), dx.cols());
  require_shape("scatter_add_rows", "dout", dout, rows, dx.cols());
  require_indices("scatter_add_rows", "index", indices, dx.rows());
  add_rows(dx, dout, indices);
}

}  // namespace winnow::reference
