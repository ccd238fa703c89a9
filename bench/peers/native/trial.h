// One trial of a matrix product in a library: the request on stdin, operands, timing, the check against
// double precision, and the reply on stdout. README.md one folder up has the fields.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

namespace peer {

constexpr int kExitNotDone = 3;
// Weights are taken in turn from this much memory, so that none comes from a cache.
constexpr int64_t kRotatedBytes = int64_t{256} << 20;
constexpr int kWarmups = 2;

struct Request {
  int64_t m, n, k;
  int threads, repetitions;
  std::string dtype;
};

// The value of a key in a flat JSON object, without quotes; ends the program when it is not there.
inline std::string field(const std::string& json, const std::string& key) {
  const std::string quoted = '"' + key + '"';
  size_t at = json.find(quoted);
  if (at != std::string::npos) at = json.find_first_not_of(" \t\r\n:\"", at + quoted.size());
  if (at == std::string::npos) {
    std::cerr << "the request has no " << key << "\n";
    std::exit(1);
  }
  return json.substr(at, json.find_first_of(" \t\r\n,}\"", at) - at);
}

inline Request read_request() {
  const std::string json{std::istreambuf_iterator<char>(std::cin), {}};
  const auto number = [&](const char* key) { return std::stoll(field(json, key)); };
  return {number("m"), number("n"), number("k"), int(number("threads")), int(number("repetitions")), field(json, "dtype")};
}

// Numbers in [-1, 1) with 8 significant bits: f32 and bf16 hold the same ones.
inline std::vector<float> random_values(int64_t count, uint32_t seed) {
  std::vector<float> values(count);
  uint32_t state = seed * 2654435761u + 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = float(int32_t(state >> 24) - 128) / 128.0f;
  }
  return values;
}

inline int weight_copies(const Request& request, int64_t bytes_per_number) {
  const int64_t bytes = request.n * request.k * bytes_per_number;
  return int(std::max<int64_t>(2, (kRotatedBytes + bytes - 1) / bytes));
}

// Seconds of each call of product(i), i counting up, after the warm-ups.
template <class Product>
std::vector<double> time_products(int repetitions, Product product) {
  std::vector<double> seconds;
  for (int i = 0; i < kWarmups + repetitions; ++i) {
    const auto started = std::chrono::steady_clock::now();
    product(i);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - started;
    if (i >= kWarmups) seconds.push_back(taken.count());
  }
  return seconds;
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Largest error of a few entries of y [m, n] = x [m, k] w [n, k]^T, over the norm of what they are the sum of.
template <class Output>
double relative_error(const Request& r, const std::vector<float>& x, const std::vector<float>& w, Output y) {
  constexpr int kEntries = 16;
  double worst = 0;
  for (int e = 0; e < kEntries; ++e) {
    const int64_t row = (e * 7919) % r.m, column = (e * 104729 + r.n - 1) % r.n;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < r.k; ++i) {
      const double term = double(x[row * r.k + i]) * w[column * r.k + i];
      sum += term;
      squares += term * term;
    }
    worst = std::max(worst, std::abs(y(row * r.n + column) - sum) / std::sqrt(squares));
  }
  return worst;
}

// `details`: further fields, each with a comma after it.
inline void reply(const std::vector<double>& seconds, double error, const std::string& details,
                  const std::string& versions) {
  std::printf("{\"seconds\":[");
  for (size_t i = 0; i < seconds.size(); ++i) std::printf("%s%.9g", i ? "," : "", seconds[i]);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("],\"checkRelativeError\":%.3g,%s\"versions\":%s,\"peakResidentBytes\":%lld}\n", error, details.c_str(),
              versions.c_str(), static_cast<long long>(usage.ru_maxrss) * 1024);
}

inline void list(const char* name, const std::string& dtypes, const std::string& versions) {
  std::printf("{\"peer\":\"%s\",\"benchmark\":\"gemm\",\"dtypes\":[%s],\"versions\":%s}\n", name, dtypes.c_str(),
              versions.c_str());
}

}  // namespace peer
