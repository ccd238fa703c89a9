// AdamW and the squared norm.
#include <cmath>

#include "op_test.h"

namespace winnow::test {
namespace {

constexpr int64_t kSizes[] = {0, 1, 15, 16, 33, 1000, 70001};

std::vector<OpCase> adamw_cases() {
  std::vector<OpCase> all;
  for (const int64_t size : kSizes)
    for (const int64_t step : {1, 7, 100000}) {
      AdamwOptions options{
          .learning_rate = 0.01f, .weight_decay = 0.1f, .gradient_scale = 0.5f, .step = step};
      all.push_back({text("size ", size, " step ", step),
                     {acc("value", {size}, tolerance::cancelling(12, 1)),
                      acc("moment1", {size}, tolerance::cancelling(4, 1)),
                      acc("moment2", {size}, tolerance::elementwise(4), 0.1, 1), input("gradient", {size})},
                     [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                       ops.adamw(context, v[0], v[1], v[2], v[3], options);
                       return std::vector<double>{};
                     }});
    }
  return all;
}

std::vector<OpCase> squared_norm_cases() {
  std::vector<OpCase> all;
  for (const int64_t size : kSizes)
    all.push_back({text("size ", size),
                   {input("x", {size}).any_rows()},
                   [](const Ops& ops, Context& context, const std::vector<View>& v) {
                     return std::vector<double>{ops.squared_norm(context, v[0])};
                   }});
  return all;
}

void check_adamw_by_hand(const Ops& ops) {
  ThreadPool pool(1);
  OpCase step{
      "adamw by hand",
      {acc("value", {1}, {}), acc("moment1", {1}, {}), acc("moment2", {1}, {}), input("gradient", {1})},
      {}};
  std::vector<Array> arrays = make_arrays(step);
  const auto apply = [&](double gradient, AdamwOptions options) {
    options.learning_rate = 0.1f;
    options.weight_decay = 0.1f;
    step.call = [options](const Ops& table, Context& context, const std::vector<View>& v) {
      table.adamw(context, v[0], v[1], v[2], v[3], options);
      return std::vector<double>{};
    };
    arrays[3].set_number(0, gradient);
    arrays = run_case(ops, pool, step, arrays).arrays;
  };
  arrays[0].set_number(0, 1);
  arrays[1].set_number(0, 0);
  arrays[2].set_number(0, 0);
  // m = 0.05, v = 0.00025; corrected 0.5 and 0.25: 1 * 0.99 - 0.1 * 0.5 / 0.5 = 0.89. As the betas are f32,
  // 1 - beta2 is off by 1e-5 of itself.
  apply(0.5, {.step = 1});
  EXPECT(std::fabs(arrays[0].number(0) - 0.89) < 1e-7, arrays[0].number(0));
  EXPECT(std::fabs(arrays[1].number(0) - 0.05) < 1e-7, arrays[1].number(0));
  EXPECT(std::fabs(arrays[2].number(0) - 0.00025) < 1e-8, arrays[2].number(0));
  // g = -0.5: m = -0.005, v = 0.00049975; corrected by 0.19 and 0.001999: -0.0263157895 and 0.25, so
  // 0.89 * 0.99 + 0.1 * 0.0263157895 / 0.5 = 0.8863631579.
  apply(-1, {.gradient_scale = 0.5f, .step = 2});
  EXPECT(std::fabs(arrays[0].number(0) - 0.8863631579) < 2e-7, arrays[0].number(0));
  EXPECT(std::fabs(arrays[1].number(0) + 0.005) < 1e-7, arrays[1].number(0));
  EXPECT(std::fabs(arrays[2].number(0) - 0.00049975) < 1e-8, arrays[2].number(0));
}

// A sum of a million squares must not stall where f32 would: 2^24 + 1 = 2^24.
void check_large_norm(const Ops& ops) {
  const int64_t size = 1 << 20;
  OpCase norm{"norm",
              {input("x", {size}).holding(std::vector<double>(static_cast<size_t>(size), 1.0))},
              [](const Ops& table, Context& context, const std::vector<View>& v) {
                return std::vector<double>{table.squared_norm(context, v[0])};
              }};
  ThreadPool pool(2);
  std::vector<Array> arrays = make_arrays(norm);
  arrays[0].set_number(0, 4096);  // 2^24
  const double got = run_case(ops, pool, norm, arrays).results[0];
  EXPECT(std::fabs(got - (0x1p24 + static_cast<double>(size) - 1)) <= 2, got);
}

const Registration registered([] {
  add_op_tests("adamw", adamw_cases);
  add_op_tests("squared_norm", squared_norm_cases);
  add_backend_tests("adamw by hand", check_adamw_by_hand);
  add_backend_tests("squared_norm of a large and many small", check_large_norm);
});

}  // namespace
}  // namespace winnow::test
