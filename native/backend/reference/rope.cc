// Rotary position embedding (Su et al. 2021) in the halves layout of GPT-NeoX and Llama: the pair
// (x[i], x[i + Dh/2]) turns by the angle whose cosine and sine are given,
//   (a, b) -> (a cos - b sin, b cos + a sin); the inverse turns back, and is the gradient.
#include "backend/reference/reference.h"

namespace winnow::reference {

void rope(Context&, View x, View cosine, View sine, bool inverse) {
  WINNOW_CHECK(x.rank == 3 && x.shape[2] % 2 == 0, "ERR_SHAPE", "[rope] x does not fit",
               "f32 (M, heads, an even head width)", describe(x));
  const int64_t rows = x.shape[0], heads = x.shape[1], head_dim = x.shape[2], half = head_dim / 2;
  require_shape("rope", "x", x, rows, heads * head_dim);
  require_shape("rope", "cosine", cosine, rows, half);
  require_shape("rope", "sine", sine, rows, half);
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < half; ++i) {
        float& first = at(x, (m * heads + h) * head_dim + i);
        float& second = at(x, (m * heads + h) * head_dim + half + i);
        const double a = static_cast<double>(first), b = static_cast<double>(second);
        const double c = static_cast<double>(at(cosine, m * half + i));
        const double s = static_cast<double>(at(sine, m * half + i)) * (inverse ? -1.0 : 1.0);
        first = static_cast<float>(a * c - b * s);
        second = static_cast<float>(b * c + a * s);
      }
}

}  // namespace winnow::reference
