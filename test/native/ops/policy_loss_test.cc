// The clipped policy-gradient loss.
#include <cmath>
#include <limits>

#include "op_test.h"
#include "ops/gradient.h"

namespace winnow::test {
namespace {

std::vector<double> as_numbers(const PolicyLossSums& s) {
  return {s.loss,
          s.policy_loss,
          s.kl,
          s.entropy,
          s.log_ratio,
          s.absolute_log_ratio,
          s.max_absolute_log_ratio,
          static_cast<double>(s.clipped),
          static_cast<double>(s.entries)};
}

constexpr PolicyLossOptions kOptions{
    .clip_low = 0.2f, .clip_high = 0.3f, .kl_coefficient = 0.1f, .entropy_coefficient = 0.01f};

std::vector<OpCase> cases() {
  std::vector<OpCase> all;
  for (const int64_t m : {0, 1, 2, 17, 100})
    for (const bool everything : {true, false}) {
      // One exp of a difference up to 1 and four products of numbers up to e.
      const Tolerance tolerance = tolerance::cancelling(tolerance::exponential(2) + 8, 3);
      std::vector<Operand> operands = {set("dlogprob", {m}, tolerance).rows(),
                                       input("logprob", {m}, -2, -1.5).rows(),
                                       input("old_logprob", {m}, -2, -1.5).rows(),
                                       input("advantage", {m}).rows(), input("weight", {m}, 0.1, 1).rows()};
      if (everything) {
        operands.push_back(set("dentropy", {m}, tolerance).rows());
        operands.push_back(input("reference_logprob", {m}, -2, -1.5).rows());
        operands.push_back(input("entropy", {m}, 0, 2).rows());
      }
      all.push_back({text("M=", m, everything ? " all terms" : " policy alone"), operands,
                     [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                       const View none;
                       return as_numbers(ops.policy_loss(context, v[0], everything ? v[5] : none, v[1], v[2],
                                                         everything ? v[6] : none, v[3], v[4],
                                                         everything ? v[7] : none, kOptions));
                     }});
    }
  return all;
}

// Two sequences of three tokens; the numbers are worked out below.
void check_by_hand(const Ops& ops) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double ln2 = std::log(2.0);
  const double ratios[] = {1.5, 0.5, 1.5, 0.5, 1, 1};
  std::vector<double> logprob, old_logprob(6, -2), reference;
  for (const double ratio : ratios) logprob.push_back(-2 + std::log(ratio));
  reference = logprob;
  reference[4] -= ln2;  // d = -ln 2: k3 = 1/2 + ln 2 - 1, dk3 = 1 - 1/2
  logprob[5] = nan;     // masked: weight 0
  const Tolerance near{2e-7, 2e-7, 1e-12};
  const OpCase by_hand{
      "by hand",
      {set("dlogprob", {6}, near), set("dentropy", {6}, near), input("logprob", {6}).holding(logprob),
       input("old_logprob", {6}).holding(old_logprob), input("reference_logprob", {6}).holding(reference),
       input("advantage", {6}).holding({1, 1, -1, -1, 2, 1}),
       input("weight", {6}).holding({0.2, 0.2, 0.2, 0.2, 0.2, 0}),
       input("entropy", {6}).holding({1, 1, 1, 1, 1, nan})},
      [](const Ops& table, Context& context, const std::vector<View>& v) {
        return as_numbers(
            table.policy_loss(context, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], kOptions));
      }};
  ThreadPool pool(2);
  const Outcome got = run_case(ops, pool, by_hand, make_arrays(by_hand));
  // Unclipped -A ratio is -1.5, -0.5, 1.5, 0.5, -2. A > 0 above 1.3 and A < 0 below 0.8 are clipped: the
  // policy terms are -1.3, -0.5, 1.5, 0.8, -2 and only the second, third and fifth have a gradient.
  const double dlogprob[] = {0, -0.1, 0.3, 0, 0.2 * (-2 + 0.1 * 0.5), 0};
  const double kl = 0.2 * (ln2 - 0.5);
  const double sums[] = {-0.3 + 0.1 * kl - 0.01, -0.3, kl, 1, 0.4 * std::log(0.75),
                         0.4 * std::log(3.0),    ln2,  2,  5};
  for (int i = 0; i < 6; ++i) {
    EXPECT(std::fabs(got.arrays[0].number(i) - dlogprob[i]) < 1e-6, "dlogprob ", i, ": ",
           got.arrays[0].number(i));
    EXPECT(std::fabs(got.arrays[1].number(i) - (i < 5 ? -0.002 : 0)) < 1e-8, "dentropy ", i);
  }
  for (size_t i = 0; i < 9; ++i)
    EXPECT(std::fabs(got.results[i] - sums[i]) < 1e-6, "sum ", i, " is ", got.results[i], ", expected ",
           sums[i]);
}

const Registration registered([] {
  add_op_tests("policy_loss", cases);
  add_backend_tests("policy_loss by hand", check_by_hand);
});

}  // namespace

TEST("ops/reference/policy_loss gradient") {
  const Ops& ops = reference_ops();
  ThreadPool pool(1);
  Context context{pool};
  // Log ratios 0.1 from the kinks at log 0.8 = -0.22 and log 1.3 = 0.26.
  Array logprob = zero_array({8}), old_logprob = zero_array({8}), advantage = zero_array({8});
  const double log_ratios[] = {-0.5, -0.125, 0.125, 0.5};
  for (int i = 0; i < 8; ++i) {
    logprob.set_number(i, -1.5);
    old_logprob.set_number(i, -1.5 - log_ratios[i % 4]);
    advantage.set_number(i, i < 4 ? 0.75 : -1.25);
  }
  Array reference = grid_array("reference", {8}, -2, -1), weight = grid_array("weight", {8}, 0.5, 1);
  Array entropy = grid_array("entropy", {8}, 0, 2), dlogprob = zero_array({8}), dentropy = zero_array({8});
  Array spare = zero_array({8}), spare2 = zero_array({8});
  const auto run = [&](Array& dlogp, Array& dent) {
    return ops
        .policy_loss(context, dlogp.view(), dent.view(), logprob.view(), old_logprob.view(), reference.view(),
                     advantage.view(), weight.view(), entropy.view(), kOptions)
        .loss;
  };
  run(dlogprob, dentropy);
  check_finite_differences("dlogprob", logprob, dlogprob, kStep, kGradientTolerance,
                           [&] { return run(spare, spare2); });
  check_finite_differences("dentropy", entropy, dentropy, kStep, kGradientTolerance,
                           [&] { return run(spare, spare2); });
}

}  // namespace winnow::test
