// OpenBLAS: y [m, n] = x [m, k] w [n, k]^T in f32. Both layouts of the weight are timed and the faster one is the reply;
// a single row is a product of matrix and vector.
#include <cblas.h>

#include <sstream>

#include "trial.h"

namespace {

std::string versions() {
  std::istringstream words(openblas_get_config());
  std::string name, version;
  words >> name >> version;
  return "{\"openblas\":\"" + version + "\"}";
}

std::vector<float> transposed(const std::vector<float>& w, int64_t rows, int64_t columns) {
  std::vector<float> result(w.size());
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) result[j * rows + i] = w[i * columns + j];
  return result;
}

// `w` is [n, k], or [k, n] when `by_input`.
void multiply(const peer::Request& r, const float* x, const float* w, bool by_input, float* y) {
  const int m = int(r.m), n = int(r.n), k = int(r.k);
  if (m == 1) {
    const int rows = by_input ? k : n, columns = by_input ? n : k;
    cblas_sgemv(CblasRowMajor, by_input ? CblasTrans : CblasNoTrans, rows, columns, 1, w, columns, x, 1, 0, y, 1);
  } else {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, by_input ? CblasNoTrans : CblasTrans, m, n, k, 1, x, k, w,
                by_input ? n : k, 0, y, n);
  }
}

int measure(const peer::Request& r) {
  openblas_set_num_threads(r.threads);
  const std::vector<float> x = peer::random_values(r.m * r.k, 1), w = peer::random_values(r.n * r.k, 2);
  std::vector<float> y(r.m * r.n);
  std::vector<double> best;
  double error = 0;
  const char* layout = "";
  for (const bool by_input : {false, true}) {
    const std::vector<float> stored = by_input ? transposed(w, r.n, r.k) : w;
    const std::vector<std::vector<float>> weights(peer::weight_copies(r, sizeof(float)), stored);
    const std::vector<double> seconds = peer::time_products(
        r.repetitions, [&](int i) { multiply(r, x.data(), weights[i % weights.size()].data(), by_input, y.data()); });
    error = std::max(error, peer::relative_error(r, x, w, [&](int64_t at) { return double(y[at]); }));
    if (!best.empty() && peer::median(best) <= peer::median(seconds)) continue;
    best = seconds;
    layout = by_input ? "k x n" : "n x k";
  }
  peer::reply(best, error, std::string("\"layout\":\"") + layout + "\",", versions());
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1 && std::string(arguments[1]) == "--list") return peer::list("openblas", "\"f32\"", versions()), 0;
  const peer::Request request = peer::read_request();
  if (request.dtype == "f32") return measure(request);
  std::cerr << "dtype " << request.dtype << ": Debian's OpenBLAS multiplies f32\n";
  return peer::kExitNotDone;
}
