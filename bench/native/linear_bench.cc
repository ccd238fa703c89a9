// How near the CPU backend's matrix products come to what the machine can do.
//
//   linear_bench [--json] [--threads N] [--seconds S] [--op forward|input|weight] [--dtype f32|bf16]
//                [--rows 1,8,64] [--shape NxK,NxK]
//
// Measures the peak of fused multiply-adds and the bandwidth of a streaming read first, then every
// operation, shape and number of rows; operands are random and the weights are rotated, so that few rows
// read them from memory. Each figure stands beside its share of the peak measured in the same run.
#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "backend/ops.h"
#include "base/matrix_tiles.h"
#include "base/philox.h"

namespace {

using namespace winnow;

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// ---- ceilings ------------------------------------------------------------------------------------

constexpr int kChains = 10;  // enough to hide the latency of an addition
constexpr int64_t kPeakSteps = 40000;

__attribute__((target("avx2,fma"), noinline)) void fma_avx2(float* sink) {
  __m256 sum[kChains];
  for (__m256& chain : sum) chain = _mm256_set1_ps(sink[0]);
  const __m256 scale = _mm256_set1_ps(sink[1]), term = _mm256_set1_ps(sink[2]);
  for (int64_t i = 0; i < kPeakSteps; ++i) {
#pragma GCC unroll 10
    for (int c = 0; c < kChains; ++c) sum[c] = _mm256_fmadd_ps(sum[c], scale, term);
  }
  for (const __m256& chain : sum) sink[3] += _mm256_cvtss_f32(chain);
}

__attribute__((target("avx512f"), noinline)) void fma_avx512(float* sink) {
  __m512 sum[kChains];
  for (__m512& chain : sum) chain = _mm512_set1_ps(sink[0]);
  const __m512 scale = _mm512_set1_ps(sink[1]), term = _mm512_set1_ps(sink[2]);
  for (int64_t i = 0; i < kPeakSteps; ++i) {
#pragma GCC unroll 10
    for (int c = 0; c < kChains; ++c) sum[c] = _mm512_fmadd_ps(sum[c], scale, term);
  }
  for (const __m512& chain : sum) sink[3] += _mm512_cvtss_f32(chain);
}

__attribute__((target("avx512f,avx512bf16"), noinline)) void dot_avx512bf16(float* sink) {
  __m512 sum[kChains];
  for (__m512& chain : sum) chain = _mm512_set1_ps(sink[0]);
  const __m512bh left = (__m512bh)_mm512_set1_epi32(0x3f803f80), right = left;
  for (int64_t i = 0; i < kPeakSteps; ++i) {
#pragma GCC unroll 10
    for (int c = 0; c < kChains; ++c) sum[c] = _mm512_dpbf16_ps(sum[c], left, right);
  }
  for (const __m512& chain : sum) sink[3] += _mm512_cvtss_f32(chain);
}

void dot_avx512amx(float* sink) {
  TileConfiguration shapes;
  for (int i = 0; i < 8; ++i) shapes.row_bytes[i] = 64, shapes.rows[i] = 16;
  tile_configure(shapes);
  for (int64_t i = 0; i < kPeakSteps; ++i) {
    tile_dot_bf16<0, 4, 6>();
    tile_dot_bf16<1, 4, 7>();
    tile_dot_bf16<2, 5, 6>();
    tile_dot_bf16<3, 5, 7>();
  }
  alignas(64) float sums[256];
  tile_store<0>(sums, 64);
  tile_release();
  sink[3] += sums[0];
}

struct Ceiling {
  void (*kernel)(float*);
  double flops_a_step;  // of one chain
};
Ceiling ceiling_of(const std::string& instructions, DType dtype) {
  if (instructions == "avx512amx" && dtype == DType::kBF16)
    return {dot_avx512amx, 4.0 * 2 * 16 * 16 * 32 / kChains};
  if (instructions == "avx512bf16" && dtype == DType::kBF16) return {dot_avx512bf16, 64};
  if (instructions.rfind("avx512", 0) == 0) return {fma_avx512, 32};
  return {fma_avx2, 16};
}

// GFLOP/s of all threads together, best of `repeats`.
double measure_peak(ThreadPool& pool, const Ceiling& ceiling, int repeats) {
  std::vector<float> sinks(static_cast<size_t>(pool.threads()) * 64, 1e-30f);
  constexpr int kTasks = 8;
  double best = 0;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    const double start = now_seconds();
    pool.parallel_for(int64_t{kTasks} * pool.threads(), [&](int64_t, int thread) {
      ceiling.kernel(sinks.data() + static_cast<size_t>(thread) * 64);
    });
    const double flops =
        kTasks * pool.threads() * ceiling.flops_a_step * kChains * static_cast<double>(kPeakSteps);
    best = std::max(best, flops / (now_seconds() - start) * 1e-9);
  }
  return best;
}

__attribute__((target("avx2"), noinline)) float read_bytes(const std::byte* data, size_t count) {
  __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
  for (size_t at = 0; at + 128 <= count; at += 128) {
    _mm_prefetch(reinterpret_cast<const char*>(data + at + 2048), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(data + at + 2112), _MM_HINT_T0);
    for (size_t i = 0; i < 4; ++i)
      sum[i] = _mm256_or_ps(sum[i], _mm256_loadu_ps(reinterpret_cast<const float*>(data + at + 32 * i)));
  }
  return _mm256_cvtss_f32(_mm256_or_ps(_mm256_or_ps(sum[0], sum[1]), _mm256_or_ps(sum[2], sum[3])));
}

// GB/s of all threads together, reading 256 MiB once a repeat.
double measure_bandwidth(Context& context, const Ops& ops, int repeats) {
  constexpr size_t kChunk = size_t{1} << 19, kChunks = 512;
  auto* data = static_cast<std::byte*>(ops.allocate(context, kChunk * kChunks));
  ops.zero(context, data, kChunk * kChunks);
  std::vector<float> sinks(static_cast<size_t>(context.pool.threads()) * 64);
  double best = 0;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    const double start = now_seconds();
    context.pool.parallel_for(kChunks, [&](int64_t index, int thread) {
      sinks[static_cast<size_t>(thread) * 64] +=
          read_bytes(data + static_cast<size_t>(index) * kChunk, kChunk);
    });
    best = std::max(best, static_cast<double>(kChunk * kChunks) / (now_seconds() - start) * 1e-9);
  }
  ops.release(context, data);
  return best;
}

// ---- products --------------------------------------------------------------------------------------

struct Options {
  bool json = false;
  int threads = available_cores();
  double seconds = 0.15;  // a figure
  std::string op;         // empty: all
  std::string dtype;      // empty: both
  std::vector<int64_t> rows = {1, 2, 4, 8, 16, 32, 64, 128, 256, 768};
  std::vector<std::pair<int64_t, int64_t>> shapes = {{1152, 896}, {9728, 896}, {896, 4864}, {151936, 896}};
};

// Device memory filled with uniform numbers in [-1, 1).
class Array {
 public:
  Array(Context& context, const Ops& ops, int64_t rows, int64_t columns, uint64_t seed)
      : context_(context), ops_(ops), view_(nullptr, DType::kF32, {rows, columns}) {
    view_.data = ops.allocate(context, view_.size_bytes());
    constexpr int64_t kChunk = 65536;
    const int64_t size = view_.size();
    context.pool.parallel_for((size + kChunk - 1) / kChunk, [&](int64_t chunk, int) {
      for (int64_t i = chunk * kChunk; i < std::min(size, (chunk + 1) * kChunk); ++i) {
        uint64_t bits = (static_cast<uint64_t>(i) + seed) * 0x9E3779B97F4A7C15ull;
        bits ^= bits >> 29;
        view_.f32()[i] = 2 * uniform_from_bits(static_cast<uint32_t>(bits * 0xBF58476D1CE4E5B9ull >> 32)) - 1;
      }
    });
  }
  ~Array() { ops_.release(context_, view_.data); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  const View& view() const { return view_; }

 private:
  Context& context_;
  const Ops& ops_;
  View view_;
};

struct Figure {
  double best_seconds, median_seconds;
};

// Times `call(turn)` for about `seconds`, at least three times.
template <typename Call>
Figure time_calls(double seconds, const Call& call) {
  call(0);
  std::vector<double> times;
  const double start = now_seconds();
  for (int turn = 1; turn <= 3 || (now_seconds() - start < seconds && turn < 2000); ++turn) {
    const double before = now_seconds();
    call(turn);
    times.push_back(now_seconds() - before);
  }
  std::sort(times.begin(), times.end());
  return {times.front(), times[times.size() / 2]};
}

struct Machine {
  double peak_f32, peak_bf16, bandwidth;
};

class Bench {
 public:
  Bench(const Options& options, const Ops& ops) : options_(options), ops_(ops), pool_(options.threads) {}

  void run() {
    measure_machine();
    if (!options_.json)
      std::printf("%-8s %-5s %7s %6s %5s | %9s %9s | %7s %6s | %7s\n", "op", "dtype", "N", "K", "M",
                  "best ms", "median ms", "GFLOP/s", "share", "W GB/s");
    for (const auto& [n, k] : options_.shapes)
      for (const DType dtype : {DType::kF32, DType::kBF16})
        if (options_.dtype.empty() || options_.dtype == name(dtype)) run_shape(n, k, dtype);
  }

 private:
  void measure_machine() {
    ThreadPool one(1);
    const double single = measure_peak(one, ceiling_of(ops_.instructions, DType::kF32), 8);
    machine_ = {measure_peak(pool_, ceiling_of(ops_.instructions, DType::kF32), 8),
                measure_peak(pool_, ceiling_of(ops_.instructions, DType::kBF16), 8),
                measure_bandwidth(context_, ops_, 5)};
    if (options_.json)
      std::printf(
          "{\"name\":\"machine\",\"instructions\":\"%s\",\"threads\":%d,\"peak_f32_one_thread_gflops\":%.1f,"
          "\"peak_f32_gflops\":%.1f,\"peak_bf16_gflops\":%.1f,\"read_gbytes\":%.1f}\n",
          ops_.instructions, pool_.threads(), single, machine_.peak_f32, machine_.peak_bf16,
          machine_.bandwidth);
    else
      std::printf(
          "%s, %d threads: peak f32 %.1f GFLOP/s (one thread %.1f), bf16 %.1f; streaming read %.1f GB/s\n",
          ops_.instructions, pool_.threads(), machine_.peak_f32, single, machine_.peak_bf16,
          machine_.bandwidth);
  }

  void run_shape(int64_t n, int64_t k, DType dtype) {
    const Array source(context_, ops_, n, k, 1);
    const size_t weight_bytes = ops_.packed_weight_bytes(n, k, dtype);
    // More than the last-level cache, so that a product with few rows reads memory.
    const size_t copies = std::clamp<size_t>((size_t{160} << 20) / weight_bytes + 1, 1, 64);
    std::vector<PackedWeight> weights(copies);
    for (PackedWeight& weight : weights) {
      weight = {ops_.allocate(context_, weight_bytes), n, k, dtype};
      ops_.pack_weight(context_, weight, source.view());
    }
    if (options_.op.empty() || options_.op == "pack") {
      measure("pack", dtype, n, k, 0, source.view().size_bytes() + weight_bytes, [&](int turn) {
        ops_.pack_weight(context_, weights[static_cast<size_t>(turn) % copies], source.view());
      });
    }
    for (const int64_t rows : options_.rows) run_rows(rows, weights, dtype);
    for (PackedWeight& weight : weights) ops_.release(context_, weight.data);
  }

  void run_rows(int64_t rows, const std::vector<PackedWeight>& weights, DType dtype) {
    const int64_t n = weights[0].n, k = weights[0].k;
    const auto weight = [&](int turn) { return weights[static_cast<size_t>(turn) % weights.size()]; };
    const size_t bytes = ops_.packed_weight_bytes(n, k, dtype);
    const Array x(context_, ops_, rows, k, 2), y(context_, ops_, rows, n, 3);
    const auto wanted = [&](const char* op) { return options_.op.empty() || options_.op == op; };
    if (wanted("forward"))
      measure("forward", dtype, n, k, rows, bytes, [&](int turn) {
        ops_.linear_forward(context_, y.view(), x.view(), weight(turn), View{}, false);
      });
    if (rows < 16) return;  // gradients come in batches
    if (wanted("input"))
      measure("input", dtype, n, k, rows, bytes, [&](int turn) {
        ops_.linear_backward_input(context_, x.view(), y.view(), weight(turn), false);
      });
    if (wanted("weight")) {
      const Array gradient(context_, ops_, n, k, 4);
      measure("weight", dtype, n, k, rows, 2 * gradient.view().size_bytes(), [&](int) {
        ops_.linear_backward_weight(context_, gradient.view(), y.view(), x.view(), dtype);
      });
    }
  }

  // Measured again around every figure, since the clock and the load of a shared machine drift.
  double live_peak(DType dtype) { return measure_peak(pool_, ceiling_of(ops_.instructions, dtype), 3); }

  // Prints the figure of one operation on a weight (n, k); `bytes` is what it must at least move.
  template <typename Call>
  void measure(const char* op, DType dtype, int64_t n, int64_t k, int64_t rows, size_t bytes,
               const Call& call) {
    const double before = live_peak(dtype);
    const Figure figure = time_calls(options_.seconds, call);
    report(op, dtype, n, k, rows, bytes, figure, std::max(before, live_peak(dtype)));
  }

  void report(const char* op, DType dtype, int64_t n, int64_t k, int64_t rows, size_t bytes, Figure figure,
              double peak) {
    const double gflop = 2e-9 * static_cast<double>(rows) * static_cast<double>(n) * static_cast<double>(k);
    const double rate = gflop / figure.best_seconds,
                 gbytes = static_cast<double>(bytes) / figure.best_seconds * 1e-9;
    const double roof =
        std::min(peak, rows == 0 ? peak : gflop / (static_cast<double>(bytes) * 1e-9) * machine_.bandwidth);
    if (options_.json)
      std::printf(
          "{\"name\":\"linear\",\"op\":\"%s\",\"dtype\":\"%s\",\"n\":%lld,\"k\":%lld,\"rows\":%lld,\"best_"
          "ms\":%.4f,"
          "\"median_ms\":%.4f,\"gflops\":%.2f,\"share_of_peak\":%.4f,\"share_of_roof\":%.4f,\"weight_"
          "gbytes\":%.2f}\n",
          op, name(dtype), static_cast<long long>(n), static_cast<long long>(k), static_cast<long long>(rows),
          figure.best_seconds * 1e3, figure.median_seconds * 1e3, rate, rate / peak, rate / roof, gbytes);
    else
      std::printf("%-8s %-5s %7lld %6lld %5lld | %9.3f %9.3f | %7.1f %5.1f%% | %7.1f\n", op, name(dtype),
                  static_cast<long long>(n), static_cast<long long>(k), static_cast<long long>(rows),
                  figure.best_seconds * 1e3, figure.median_seconds * 1e3, rate, 100 * rate / peak, gbytes);
    std::fflush(stdout);
  }

  Options options_;
  const Ops& ops_;
  ThreadPool pool_;
  Context context_{pool_};
  Machine machine_{};
};

// ---- command line ----------------------------------------------------------------------------------

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string flag = arguments[i];
    if (flag == "--json") {
      options.json = true;
      continue;
    }
    WINNOW_CHECK(i + 1 < count, "ERR_OPTION", "option without a value", "a value after the option", flag);
    const std::string value = arguments[++i];
    if (flag == "--threads") {
      options.threads = std::stoi(value);
    } else if (flag == "--seconds") {
      options.seconds = std::stod(value);
    } else if (flag == "--op") {
      options.op = value;
    } else if (flag == "--dtype") {
      options.dtype = value;
    } else if (flag == "--rows") {
      options.rows.clear();
      for (const std::string& part : split(value)) options.rows.push_back(std::stoll(part));
    } else if (flag == "--shape") {
      options.shapes.clear();
      for (const std::string& part : split(value))
        options.shapes.emplace_back(std::stoll(part), std::stoll(part.substr(part.find('x') + 1)));
    } else {
      throw Error("ERR_OPTION", "unknown option", "--json --threads --seconds --op --dtype --rows --shape",
                  flag);
    }
  }
  return options;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    Bench(parse(count, arguments), cpu_ops()).run();
  } catch (const Error& error) {
    std::fprintf(stderr, "error[%s]: %s, expected %s, received %s\n", error.code.c_str(), error.what(),
                 error.expected.c_str(), error.received.c_str());
    return 1;
  }
}
