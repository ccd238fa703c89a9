// Choosing cuBLASLt's algorithms, and the products that the backend asks of it.
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "backend/cuda/gemm_choice.h"
#include "backend/cuda/loader.h"
#include "base/dtype.h"
#include "harness.h"

#if WINNOW_EMULATE_CUDA
#include "emulated_cublaslt.h"
#endif

namespace winnow::test {
namespace {

using namespace winnow::cuda;

TEST("cuda/cublaslt/the fastest algorithm is chosen, the first of equals") {
  const auto choose = [](const std::vector<float>& times) {
    return fastest(static_cast<int>(times.size()), [&](int i) { return times[static_cast<size_t>(i)]; });
  };
  EXPECT(choose({3, 2, 4, 2}) == 1, choose({3, 2, 4, 2}));
  EXPECT(choose({-1, 5, -1, 6}) == 1, "those that cannot run are left out");
  EXPECT(choose({4, 0, 1}) == 1, "no time at all is fast");
  EXPECT(choose({-1, -1}) == -1 && choose({}) == -1, "none");
}

TEST("cuda/cublaslt/choices are kept, and the oldest goes when there is no room") {
  struct Key {
    int64_t rows, cols;
  };
  Choices<Key, int, 3> choices{};
  EXPECT(choices.find({1, 1}) == nullptr, "nothing yet");
  for (int i = 0; i < 4; ++i) choices.add({i, 7}, 10 * i);
  EXPECT(choices.find({0, 7}) == nullptr, "the first made room");
  for (int i = 1; i < 4; ++i) {
    const int* found = choices.find({i, 7});
    EXPECT(found && *found == 10 * i, "key ", i);
  }
  EXPECT(choices.find({1, 8}) == nullptr, "another shape");
}

#if WINNOW_EMULATE_CUDA
// A device of its own whose bf16 products the emulated cuBLASLt makes.
class CublasDevice {
 public:
  explicit CublasDevice(GemmChoice choice) {
    std::string loaded;
    table = load_table({}, &loaded);
    setenv("WINNOW_CUBLASLT", "emulated", 1);
    const Status status = table->open(0, kGemmCublasLt, choice, &device, &info);
    unsetenv("WINNOW_CUBLASLT");
    EXPECT(status == kOk && info.gemm_note[0] == '\0', info.gemm_note);
    emulated::algorithms_run.clear();
  }
  ~CublasDevice() { table->close(device); }
  CublasDevice(const CublasDevice&) = delete;
  CublasDevice& operator=(const CublasDevice&) = delete;

  // Device memory that holds `values`, until the device is closed.
  template <typename T>
  T* place(const std::vector<T>& values) {
    void* data = nullptr;
    EXPECT(table->allocate(device, values.size() * sizeof(T), &data) == kOk, "memory");
    table->upload(device, data, values.data(), values.size() * sizeof(T));
    return static_cast<T*>(data);
  }
  std::vector<float> read(const float* data, int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    EXPECT(table->download(device, values.data(), data, values.size() * sizeof(float)) == kOk, "download");
    return values;
  }

  const Table* table = nullptr;
  Device* device = nullptr;
  DeviceInfo info{};
};

std::vector<float> numbers(const char* seed, int64_t count) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(random.uniform(-1, 1));
  return values;
}
std::vector<bf16> rounded(const std::vector<float>& values) {
  std::vector<bf16> result;
  for (const float value : values) result.push_back(f32_to_bf16(value));
  return result;
}
double at(const std::vector<float>& values, int64_t index) {
  return static_cast<double>(bf16_to_f32(f32_to_bf16(values[static_cast<size_t>(index)])));
}

void expect_product(const std::vector<float>& got, int64_t rows, int64_t cols, int64_t depth,
                    const char* what, const auto& a, const auto& b, const auto& onto) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) {
      double sum = onto(i, j);
      for (int64_t l = 0; l < depth; ++l) sum += a(i, l) * b(l, j);
      const double value = static_cast<double>(got[static_cast<size_t>(i * cols + j)]);
      EXPECT(std::fabs(value - sum) <= 1e-5, what, " (", i, ", ", j, "): ", value, ", expected ", sum);
    }
}

// The three products of a layer, of odd extents, and their values.
void check_products(CublasDevice& cublas, int64_t m, int64_t n, int64_t k) {
  const std::vector<float> x = numbers("x", m * k), w = numbers("w", n * k), bias = numbers("bias", n),
                           dout = numbers("dout", m * n), before = numbers("before", m * n),
                           dx_before = numbers("dx", m * k), dw_before = numbers("dw", n * k);
  const auto plain = [](const std::vector<float>& values, int64_t index) {
    return static_cast<double>(values[static_cast<size_t>(index)]);
  };
  const Table& table = *cublas.table;
  float *out = cublas.place(before), *dx = cublas.place(dx_before), *dw = cublas.place(dw_before);
  const bf16* weight = cublas.place(rounded(w));
  const float *x_device = cublas.place(x), *dout_device = cublas.place(dout),
              *bias_device = cublas.place(bias);
  const auto x_at = [&](int64_t i, int64_t l) { return at(x, i * k + l); };
  EXPECT(table.linear_forward(cublas.device, out, x_device, weight, bias_device, m, n, k, true, true) == kOk,
         "forward");
  expect_product(
      cublas.read(out, m * n), m, n, k, "forward", x_at,
      [&](int64_t l, int64_t j) { return at(w, j * k + l); },
      [&](int64_t i, int64_t j) { return plain(before, i * n + j) + plain(bias, j); });
  EXPECT(table.linear_backward_input(cublas.device, dx, dout_device, weight, m, n, k, true, false) == kOk,
         "dx");
  expect_product(
      cublas.read(dx, m * k), m, k, n, "dx", [&](int64_t i, int64_t l) { return at(dout, i * n + l); },
      [&](int64_t l, int64_t j) { return at(w, l * k + j); }, [](int64_t, int64_t) { return 0.0; });
  EXPECT(table.linear_backward_weight(cublas.device, dw, dout_device, x_device, m, n, k, true) == kOk, "dw");
  expect_product(
      cublas.read(dw, n * k), n, k, m, "dw", [&](int64_t i, int64_t l) { return at(dout, l * n + i); }, x_at,
      [&](int64_t i, int64_t j) { return plain(dw_before, i * k + j); });
}

// In the order of the heuristic: parts added in place, in order, and whole sums.
constexpr uint64_t kInPlace = 10, kOrdered = 11, kSlow = 12, kFast = 13, kEquallyFast = 14, kBroken = 15;
const std::vector<emulated::OfferedAlgorithm> kOffered = {
    {kInPlace, 1, 1, true}, {kOrdered, 2, 2, true},     {kSlow, 0, 5, true},
    {kFast, 0, 3, true},    {kEquallyFast, 0, 3, true}, {kBroken, 0, 0.5, false}};

TEST("cuda/cublaslt/products by its heuristic, never with parts added in place") {
  emulated::offered_algorithms = kOffered;
  CublasDevice cublas(kChoiceHeuristic);
  EXPECT(std::string(cublas.info.gemm) == "cuBLASLt 13.1", cublas.info.gemm);
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 7, 9}, {13, 5, 33}, {6, 40, 3}})
    check_products(cublas, m, n, k);
  EXPECT(emulated::algorithms_run == std::vector<uint64_t>(9, kOrdered), "one run a product");
}

TEST("cuda/cublaslt/products by the fastest algorithm, timed once a shape") {
  emulated::offered_algorithms = kOffered;
  CublasDevice cublas(kChoiceTimed);
  EXPECT(std::string(cublas.info.gemm) == "cuBLASLt 13.1, algorithms timed", cublas.info.gemm);
  check_products(cublas, 13, 5, 33);
  // Each product: a first run and three timed ones of each that splits no sum, then the product itself.
  std::vector<uint64_t> product;
  for (const uint64_t id : {kSlow, kFast, kEquallyFast}) product.insert(product.end(), 4, id);
  product.push_back(kBroken);
  product.push_back(kFast);
  std::vector<uint64_t> expected;
  for (int i = 0; i < 3; ++i) expected.insert(expected.end(), product.begin(), product.end());
  EXPECT(emulated::algorithms_run == expected, emulated::algorithms_run.size(), " runs");
  emulated::algorithms_run.clear();
  check_products(cublas, 13, 5, 33);
  EXPECT(emulated::algorithms_run == std::vector<uint64_t>(3, kFast), "the choices are kept");
  check_products(cublas, 12, 5, 33);
  EXPECT(emulated::algorithms_run.size() == 3 + expected.size(), "another shape is timed");
}

TEST("cuda/cublaslt/where every algorithm splits the sums, the heuristic's; where there is none, our own") {
  emulated::offered_algorithms = {{kInPlace, 1, 1, true}, {kOrdered, 2, 2, true}};
  CublasDevice cublas(kChoiceTimed);
  check_products(cublas, 13, 5, 33);
  EXPECT(emulated::algorithms_run == std::vector<uint64_t>(3, kOrdered), "parts in order");
  emulated::algorithms_run.clear();
  emulated::offered_algorithms = {{kInPlace, 1, 1, true}};
  check_products(cublas, 11, 5, 33);
  EXPECT(emulated::algorithms_run.empty(), "own products");
}
#endif

}  // namespace
}  // namespace winnow::test
