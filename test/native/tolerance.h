// How far a backend may be from the reference, derived from the format and the number of roundings.
//
// u = 2^-24 is the unit roundoff of f32. A chain of n roundings of a sum with terms t_i errs by at most
// kConfidence * sqrt(n) * u * sum|t_i| with probability > 1 - 2 exp(-kConfidence^2 / 2) an element
// (Higham & Mary 2019, "A new approach to probabilistic rounding error analysis", theorem 2.4);
// kConfidence = 6 makes a chance failure of one of 10^6 elements less likely than 1 in 10.
// The normalised mean squared error is tighter than any element's bound: a walk of n roundings, each
// uniform in +-u/2 ulp of partial sums that grow as sqrt(k), has E[err^2] / E[sum^2] <= n u^2 / 6.
// Products of bf16 operands are exact in f32 and both sides round the operands alike, so bf16 has the
// tolerance of f32.
#pragma once

#include <cmath>
#include <cstdint>

namespace winnow::test {

struct Tolerance {
  double absolute = 0;
  double relative = 0;
  double nmse = 0;  // looked at from 64 elements up
};

namespace tolerance {

constexpr double kUnit = 0x1p-24;
constexpr double kConfidence = 6;
constexpr double kNmseSlack = 24;  // four times the expectation n u^2 / 6

// Bit for bit.
inline Tolerance exact() { return {}; }

// `roundings` operations on numbers of one sign, nothing cancels.
inline Tolerance elementwise(double roundings, double absolute = 0) {
  return {absolute, roundings * kUnit, roundings * roundings * kUnit * kUnit};
}

// Errors of at most `roundings` units of a number as large as `scale`, which may then cancel.
inline Tolerance cancelling(double roundings, double scale) {
  const double error = roundings * kUnit;
  return {error * scale, error, 4 * error * error};
}

// sum|a_i b_i| of `length` products, a and b uniform in +-max: mean max_a max_b / 4, standard deviation
// 0.22 max_a max_b a term.
inline double absolute_dot(int64_t length, double max_a, double max_b) {
  const double n = static_cast<double>(length);
  return max_a * max_b * (n / 4 + kConfidence * 0.22 * std::sqrt(n));
}

// A chain of `length` fused multiply-adds of numbers uniform in +-max_a, +-max_b, onto a number in +-start.
inline Tolerance dot(int64_t length, double max_a, double max_b, double start = 0) {
  const double n = static_cast<double>(length) + 2;
  const double sum = absolute_dot(length, max_a, max_b) + start;
  return {kConfidence * std::sqrt(n) * kUnit * sum, 2 * kUnit, kNmseSlack * n / 6 * kUnit * kUnit};
}

// Relative error, in units, of a sum of `length` numbers of one sign.
inline double positive_sum(int64_t length) {
  return kConfidence * std::sqrt(static_cast<double>(length)) + 2;
}

// Relative error, in units, of exp of a rounded argument as large as `magnitude`, by a polynomial good to
// 2 units.
inline double exponential(double magnitude) { return 2 + magnitude; }

}  // namespace tolerance
}  // namespace winnow::test
