// benchmark: timed runs of one kernel at one shape, and of the machine's own limits.
#include <algorithm>
#include <chrono>
#include <map>

#include "addon/benchmark_kernels.h"
#include "addon/exports.h"
#include "addon/model_request.h"
#include "base/philox.h"

namespace winnow::addon {
namespace {

constexpr size_t kBeyondCacheBytes = 256u
                                     << 20;  // weights rotate over this much, so that each comes from memory

struct BenchmarkRequest {
  std::map<std::string, int64_t> shape;
  DType dtype;
  int repeats;
};

struct Timings {
  std::vector<double> seconds;  // one a repeat
  double flops = 0, bytes = 0;  // of one repeat
  double checksum = 0;
};

double seconds_of(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Memory from the backend, filled with uniform numbers in [-1, 1).
class Array {
 public:
  Array(Context& context, const Ops& ops, int64_t rows, int64_t cols, uint64_t seed)
      : context_(context), ops_(ops), view_(nullptr, DType::kF32, {rows, cols}) {
    view_.data = ops.allocate(context, std::max<size_t>(view_.size_bytes(), 64));
    std::vector<float> values(static_cast<size_t>(view_.size()));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = 2 * uniform_from_bits(philox4x32(seed, {static_cast<uint32_t>(i), 0, 0, 0})[0]) - 1;
    ops.upload(context, view_.data, values.data(), view_.size_bytes());
  }
  ~Array() { ops_.release(context_, view_.data); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  View view() const { return view_; }
  double first() const {
    float value = 0;
    ops_.download(context_, &value, view_.data, sizeof value);
    return value;
  }

 private:
  Context& context_;
  const Ops& ops_;
  View view_;
};

// Enough copies of one packed weight that a round over them does not fit in any cache.
class RotatingWeights {
 public:
  RotatingWeights(Context& context, const Ops& ops, int64_t n, int64_t k, DType dtype)
      : context_(context), ops_(ops) {
    const Array source(context, ops, n, k, 1);
    const size_t size = std::max<size_t>(ops.packed_weight_bytes(n, k, dtype), 64);
    const size_t copies = std::clamp<size_t>(kBeyondCacheBytes / size, 1, 64);
    for (size_t c = 0; c < copies; ++c) {
      weights_.push_back({ops.allocate(context, size), n, k, dtype});
      ops.pack_weight(context, weights_.back(), source.view());
    }
  }
  ~RotatingWeights() {
    for (const PackedWeight& weight : weights_) ops_.release(context_, weight.data);
  }
  RotatingWeights(const RotatingWeights&) = delete;
  RotatingWeights& operator=(const RotatingWeights&) = delete;
  PackedWeight next() { return weights_[turn_++ % weights_.size()]; }

 private:
  Context& context_;
  const Ops& ops_;
  std::vector<PackedWeight> weights_;
  size_t turn_ = 0;
};

int64_t extent(const BenchmarkRequest& request, const char* name) {
  const auto found = request.shape.find(name);
  if (found == request.shape.end())
    fail_argument(std::string("benchmark.shape.") + name, "an integer", "undefined");
  return found->second;
}

template <typename Body>
void repeat(Timings& timings, const BenchmarkRequest& request, const CancelToken& cancel, Body body) {
  body();  // warms caches and scratch memory
  for (int r = 0; r < request.repeats; ++r) {
    cancel.throw_if_cancelled();
    timings.seconds.push_back(seconds_of(body));
  }
}

Timings run_peak(Session& session, const BenchmarkRequest& request, const CancelToken& cancel) {
  constexpr int64_t kRounds = 1 << 23;
  const FmaLoop loop = fma_loop(session.ops().instructions, request.dtype);
  ThreadPool& pool = session.context().pool;
  std::vector<double> flops(static_cast<size_t>(pool.threads())), sums(flops.size());
  Timings timings;
  repeat(timings, request, cancel, [&] {
    pool.parallel_for(pool.threads(), [&](int64_t index, int) {
      const size_t i = static_cast<size_t>(index);
      sums[i] = loop(kRounds, flops[i]);
    });
  });
  for (size_t i = 0; i < flops.size(); ++i) timings.flops += flops[i], timings.checksum += sums[i];
  return timings;
}

Timings run_stream(Session& session, const BenchmarkRequest& request, const CancelToken& cancel) {
  constexpr int64_t kPieceFloats = 1 << 18;
  ThreadPool& pool = session.context().pool;
  const int64_t pieces = static_cast<int64_t>(kBeyondCacheBytes) / (kPieceFloats * 4);
  const std::vector<float> data(static_cast<size_t>(pieces * kPieceFloats), 1.0f);
  std::vector<float> sums(static_cast<size_t>(pieces));
  Timings timings;
  repeat(timings, request, cancel, [&] {
    pool.parallel_for(pieces, [&](int64_t piece, int) {
      sums[static_cast<size_t>(piece)] = read_loop(data.data() + piece * kPieceFloats, kPieceFloats);
    });
  });
  timings.bytes = static_cast<double>(data.size() * sizeof(float));
  for (float sum : sums) timings.checksum += sum;
  return timings;
}

Timings run_linear_forward(Session& session, const BenchmarkRequest& request, const CancelToken& cancel) {
  Context& context = session.context();
  const Ops& ops = session.ops();
  const int64_t m = extent(request, "m"), n = extent(request, "n"), k = extent(request, "k");
  RotatingWeights weights(context, ops, n, k, request.dtype);
  const Array x(context, ops, m, k, 2), out(context, ops, m, n, 3);
  Timings timings;
  repeat(timings, request, cancel,
         [&] { ops.linear_forward(context, out.view(), x.view(), weights.next(), View{}, false); });
  timings.checksum = out.first();
  return timings;
}

Timings run_linear_backward_input(Session& session, const BenchmarkRequest& request,
                                  const CancelToken& cancel) {
  Context& context = session.context();
  const Ops& ops = session.ops();
  const int64_t m = extent(request, "m"), n = extent(request, "n"), k = extent(request, "k");
  RotatingWeights weights(context, ops, n, k, request.dtype);
  const Array dout(context, ops, m, n, 2), dx(context, ops, m, k, 3);
  Timings timings;
  repeat(timings, request, cancel,
         [&] { ops.linear_backward_input(context, dx.view(), dout.view(), weights.next(), false); });
  timings.checksum = dx.first();
  return timings;
}

Timings run_linear_backward_weight(Session& session, const BenchmarkRequest& request,
                                   const CancelToken& cancel) {
  Context& context = session.context();
  const Ops& ops = session.ops();
  const int64_t m = extent(request, "m"), n = extent(request, "n"), k = extent(request, "k");
  const Array dout(context, ops, m, n, 2), x(context, ops, m, k, 3), dweight(context, ops, n, k, 4);
  Timings timings;
  repeat(timings, request, cancel,
         [&] { ops.linear_backward_weight(context, dweight.view(), dout.view(), x.view(), request.dtype); });
  timings.checksum = dweight.first();
  return timings;
}

using Runner = Timings (*)(Session&, const BenchmarkRequest&, const CancelToken&);
constexpr std::pair<const char*, Runner> kRunners[] = {
    {"peak", run_peak},
    {"stream", run_stream},
    {"linear_forward", run_linear_forward},
    {"linear_backward_input", run_linear_backward_input},
    {"linear_backward_weight", run_linear_backward_weight},
};

// Work and traffic of a product, the same for all three directions.
void count_linear(Timings& timings, const BenchmarkRequest& request) {
  const double m = static_cast<double>(extent(request, "m")), n = static_cast<double>(extent(request, "n")),
               k = static_cast<double>(extent(request, "k"));
  timings.flops = 2 * m * n * k;
  timings.bytes = n * k * static_cast<double>(size_bytes(request.dtype)) + 4 * m * (n + k);
}

BenchmarkRequest read_request(const Fields& request) {
  BenchmarkRequest result;
  const Fields shape = request.nested("shape");
  const Napi::Array names = shape.object().GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).As<Napi::String>();
    result.shape[name] = shape.integer(name.c_str(), 1, 1ll << 31);
  }
  result.dtype = read_dtype(request, "dtype");
  result.repeats = static_cast<int>(request.integer("repeats", 1, 1 << 20));
  return result;
}

Napi::Value to_result(Napi::Env env, const Timings& timings) {
  Napi::Float64Array seconds = Napi::Float64Array::New(env, timings.seconds.size());
  for (size_t i = 0; i < timings.seconds.size(); ++i) seconds[i] = timings.seconds[i];
  Napi::Object result = Napi::Object::New(env);
  result.Set("seconds", seconds);
  result.Set("flops", timings.flops);
  result.Set("bytes", timings.bytes);
  result.Set("checksum", timings.checksum);
  return result;
}

Napi::Value benchmark(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard_promise(env, [&]() -> Napi::Value {
    const std::shared_ptr<Session> session = session_of(info[0]);
    const Fields fields(info[1], "benchmark");
    const CallControl control = read_control(info[2]);
    std::vector<std::string> names;
    for (const auto& [name, runner] : kRunners) names.push_back(name);
    const Runner runner = kRunners[fields.choice("name", names)].second;
    const bool is_linear = fields.text("name").starts_with("linear");
    const BenchmarkRequest request = read_request(fields);
    return session->submit(
        env, control,
        [session, runner, is_linear, request](const CancelToken& cancel, const Progress&) -> Result {
          Timings timings = runner(*session, request, cancel);
          if (is_linear) count_linear(timings, request);
          return [timings](Napi::Env env) { return to_result(env, timings); };
        });
  });
}

}  // namespace

void export_benchmark(Napi::Env env, Napi::Object exports) {
  exports.Set("benchmark", Napi::Function::New(env, benchmark, "benchmark"));
}

}  // namespace winnow::addon
