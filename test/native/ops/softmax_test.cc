// Log-probabilities and entropies of the head, and their gradient.
#include <cmath>

#include "op_test.h"
#include "ops/gradient.h"

namespace winnow::test {
namespace {

struct HeadRows {
  int64_t m, v;
  double range;
  float inverse_temperature;
};
constexpr HeadRows kShapes[] = {{0, 7, 4, 1},   {1, 1, 4, 1},        {2, 2, 4, 0.5f}, {3, 17, 10, 1},
                                {5, 33, 80, 1}, {20, 300, 8, 1.25f}, {3, 5003, 8, 1}};

// Units of lse: exp of differences up to 2 z, a sum of one sign, a logarithm, one addition.
double lse_units(const HeadRows& s) {
  const double z = s.range * static_cast<double>(s.inverse_temperature);
  return tolerance::exponential(3 * z) + tolerance::positive_sum(s.v) + 6;
}

std::string label(const char* op, const HeadRows& s, const char* more) {
  return text(op, " M=", s.m, " V=", s.v, " range ", s.range, " over temperature ", s.inverse_temperature,
              more);
}

std::vector<OpCase> statistics_cases() {
  std::vector<OpCase> cases;
  for (const HeadRows& s : kShapes)
    for (const bool with_entropy : {true, false}) {
      const double z = s.range * static_cast<double>(s.inverse_temperature), units = lse_units(s);
      const Tolerance tolerance = tolerance::cancelling(units, 1);
      // sum p |log p| has weights that sum to 1 and |log p| <= 2 z + log V; p errs by `units`.
      const double largest = 2 * z + std::log(static_cast<double>(s.v)) + 1;
      std::vector<Operand> operands = {
          set("lse", {s.m}, tolerance).rows(), set("logprob", {s.m}, tolerance).rows(),
          input("logits", {s.m, s.v}, -s.range, s.range).rows().any_cols(), indices("targets", s.m, s.v)};
      if (with_entropy)
        operands.push_back(set("entropy", {s.m}, tolerance::cancelling(2 * units, largest)).rows());
      cases.push_back({label("statistics", s, with_entropy ? "" : " without entropy"), operands,
                       [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                         ops.softmax_statistics(context, v[0], v[1], with_entropy ? v[4] : View{}, v[2], v[3],
                                                s.inverse_temperature);
                         return std::vector<double>{};
                       }});
    }
  return cases;
}

std::vector<OpCase> backward_cases() {
  std::vector<OpCase> cases;
  for (const HeadRows& s : kShapes)
    for (const bool with_entropy : {true, false}) {
      const double z = s.range * static_cast<double>(s.inverse_temperature);
      const double log_v = std::log(static_cast<double>(s.v));
      const double largest =
          static_cast<double>(s.inverse_temperature) * (with_entropy ? 2 + 4 * z + 2 * log_v : 2);
      std::vector<Operand> operands = {
          acc("logits", {s.m, s.v}, tolerance::cancelling(tolerance::exponential(3 * z) + 8, largest),
              -s.range, s.range)
              .rows()
              .any_cols(),
          input("lse", {s.m}, z + log_v, z + log_v + 1).rows(), indices("targets", s.m, s.v),
          input("dlogprob", {s.m}).rows()};
      if (with_entropy) {
        operands.push_back(input("entropy", {s.m}, 0, log_v + 0.1).rows());
        operands.push_back(input("dentropy", {s.m}).rows());
      }
      cases.push_back({label("backward", s, with_entropy ? "" : " without entropy"), operands,
                       [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                         ops.softmax_backward(context, v[0], v[1], with_entropy ? v[4] : View{}, v[2], v[3],
                                              with_entropy ? v[5] : View{}, s.inverse_temperature);
                         return std::vector<double>{};
                       }});
    }
  return cases;
}

const Registration registered([] {
  add_op_tests("softmax_statistics", statistics_cases);
  add_op_tests("softmax_backward", backward_cases);
});

}  // namespace

TEST("ops/reference/softmax by hand") {
  ThreadPool pool(1);
  Context context{pool};
  // Probabilities 1/2, 1/4, 1/4: at temperature 1/2 the logits are half their logarithms.
  const float ln2 = std::log(2.0f);
  float logits[] = {-0.5f * ln2, -ln2, -ln2}, lse[1], logprob[1], entropy[1];
  int32_t target[] = {1};
  reference_ops().softmax_statistics(context, View(lse, DType::kF32, {1}), View(logprob, DType::kF32, {1}),
                                     View(entropy, DType::kF32, {1}), View(logits, DType::kF32, {1, 3}),
                                     View(target, DType::kI32, {1}), 2.0f);
  EXPECT(std::fabs(lse[0]) < 1e-6f && std::fabs(logprob[0] + 2 * ln2) < 1e-6f, lse[0], " ", logprob[0]);
  EXPECT(std::fabs(entropy[0] - 1.5f * ln2) < 1e-6f, entropy[0]);
}

TEST("ops/reference/softmax gradient") {
  const Ops& ops = reference_ops();
  ThreadPool pool(1);
  Context context{pool};
  Array logits = grid_array("logits", {4, 9}, -3, 3), targets = index_array({0, 8, 3, 3});
  Array dlogprob = grid_array("dlogprob", {4}), dentropy = grid_array("dentropy", {4});
  Array lse = zero_array({4}), logprob = zero_array({4}), entropy = zero_array({4});
  const auto loss = [&] {
    ops.softmax_statistics(context, lse.view(), logprob.view(), entropy.view(), logits.view(), targets.view(),
                           1.25f);
    return weighted_sum(dlogprob, logprob) + weighted_sum(dentropy, entropy);
  };
  loss();
  Array gradient = logits;
  ops.softmax_backward(context, gradient.view(), lse.view(), entropy.view(), targets.view(), dlogprob.view(),
                       dentropy.view(), 1.25f);
  check_finite_differences("dlogits", logits, gradient, kStep, kGradientTolerance, loss);
}

}  // namespace winnow::test
