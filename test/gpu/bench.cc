// Times of the CUDA backend on the shapes of Qwen2.5-0.5B, one JSON record a line: run by test/gpu/run.sh.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "backend/ops.h"

namespace {

using namespace winnow;

ThreadPool pool(1);
Context context{pool};

// A device array of uniform numbers in [-1, 1).
View uniform(const Ops& ops, int64_t rows, int64_t cols) {
  static uint32_t state = 1;
  std::vector<float> values(static_cast<size_t>(rows * cols));
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
  }
  View view(ops.allocate(context, values.size() * sizeof(float)), DType::kF32, {rows, cols});
  ops.upload(context, view.data, values.data(), view.size_bytes());
  return view;
}

// Median seconds of `run`, of nine batches of `each` calls after a first one; reading `probe` waits for the device.
double seconds(const Ops& ops, View probe, int each, const std::function<void()>& run) {
  std::vector<double> times;
  for (int batch = 0; batch < 10; ++batch) {
    float value;
    ops.download(context, &value, probe.data, sizeof value);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < each; ++i) run();
    ops.download(context, &value, probe.data, sizeof value);
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / each);
  }
  std::sort(times.begin() + 1, times.end());
  return times[5];
}

void report(const std::string& name, double time, double flops, double bytes) {
  std::printf("{\"name\": \"%s\", \"seconds\": %.3e, \"tflops\": %.2f, \"gigabytes_per_second\": %.1f}\n", name.c_str(),
              time, flops / time / 1e12, bytes / time / 1e9);
  std::fflush(stdout);
}

void time_linear(const Ops& ops, int64_t m, int64_t n, int64_t k, DType dtype) {
  const View x = uniform(ops, m, k), source = uniform(ops, n, k), out = uniform(ops, m, n), dw = uniform(ops, n, k);
  PackedWeight weight{ops.allocate(context, ops.packed_weight_bytes(n, k, dtype)), n, k, dtype};
  ops.pack_weight(context, weight, source);
  const double flops = 2.0 * static_cast<double>(m * n * k);
  const double bytes = static_cast<double>(ops.packed_weight_bytes(n, k, dtype)) + 4.0 * static_cast<double>(m * (n + k));
  const std::string shape = std::string(name(dtype)) + " M=" + std::to_string(m) + " N=" + std::to_string(n) +
                            " K=" + std::to_string(k);
  report("linear_forward " + shape,
         seconds(ops, out, 10, [&] { ops.linear_forward(context, out, x, weight, View{}, false); }), flops, bytes);
  if (m >= 512) {
    report("linear_backward_input " + shape,
           seconds(ops, x, 10, [&] { ops.linear_backward_input(context, x, out, weight, false); }), flops, bytes);
    report("linear_backward_weight " + shape,
           seconds(ops, dw, 10, [&] { ops.linear_backward_weight(context, dw, out, x, dtype); }), flops, bytes);
  }
  for (void* data : {x.data, source.data, out.data, dw.data, weight.data}) ops.release(context, data);
}

// `paths` paths of `length` positions each; with `rows` 1, the last token of each alone. With `shared` all but
// the last block of a path is that of the first.
void time_attention(const Ops& ops, int paths, int length, int rows, bool shared = false) {
  constexpr int kHeads = 14, kKvHeads = 2, kDim = 64;
  AttentionPlan plan;
  const int blocks_each = (length + kKeyBlock - 1) / kKeyBlock, m = paths * rows;
  for (int path = 0; path < paths; ++path) {
    AttentionSegment segment{path * rows, rows, length - rows, -1, {}};
    for (int begin = 0; begin < length; begin += kKeyBlock)
      segment.runs.push_back({(shared && begin + kKeyBlock < length ? 0 : path * blocks_each) + begin / kKeyBlock, begin,
                              0, std::min(kKeyBlock, length - begin), rows == 1 ? -1 : path * rows + begin});
    plan.segments.push_back(segment);
  }
  const int64_t blocks = int64_t{paths} * blocks_each, cells = int64_t{kKvHeads} * kDim * kKeyBlock;
  const View keys = uniform(ops, blocks, cells), values = uniform(ops, blocks, cells);
  const View q = uniform(ops, m, kHeads * kDim), out = uniform(ops, m, kHeads * kDim), lse = uniform(ops, m, kHeads);
  const KeyValueLayer layer{keys.as<float>(), values.as<float>(), blocks, kKvHeads, kDim};
  const double pairs = rows == 1 ? double(paths) * length : double(paths) * length * (length + 1) / 2;
  const double flops = 4.0 * pairs * kHeads * kDim, bytes = 8.0 * static_cast<double>((shared ? blocks_each + paths : blocks) * cells);
  const std::string shape = " paths=" + std::to_string(paths) + " length=" + std::to_string(length) + " rows=" +
                            std::to_string(rows) + (shared ? " shared" : "");
  report("attention_forward" + shape,
         seconds(ops, out, 3, [&] { ops.attention_forward(context, out, lse, q, layer, plan, 0.125f, 0); }), flops, bytes);
  if (rows > 1) {
    const View dq = uniform(ops, m, kHeads * kDim), dout = uniform(ops, m, kHeads * kDim);
    const View dk = uniform(ops, m, kKvHeads * kDim), dv = uniform(ops, m, kKvHeads * kDim);
    report("attention_backward" + shape, seconds(ops, dq, 3, [&] {
             ops.attention_backward(context, dq, dk, dv, dout, out, q, lse, layer, plan, 0.125f, 0);
           }), 2.5 * flops, bytes);
    for (void* data : {dq.data, dout.data, dk.data, dv.data}) ops.release(context, data);
  }
  for (void* data : {keys.data, values.data, q.data, out.data, lse.data}) ops.release(context, data);
}

}  // namespace

int main() {
  try {
    const Ops& ops = cuda_ops();
    std::printf("{\"device\": \"%s\"}\n", ops.instructions);
    for (const DType dtype : {DType::kBF16, DType::kF32})
      for (const int64_t m : {1, 64, 1024, 4096}) {
        time_linear(ops, m, 4864, 896, dtype);
        time_linear(ops, m, 896, 4864, dtype);
      }
    time_linear(ops, 64, 151936, 896, DType::kBF16);
    time_attention(ops, 4, 1024, 1024);
    time_attention(ops, 64, 1024, 1);
    time_attention(ops, 64, 1024, 1, true);
    const View logits = uniform(ops, 64, 151936), tokens = uniform(ops, 64, 1), logprob = uniform(ops, 64, 1);
    const View drawn(tokens.data, DType::kI32, {64});
    const std::vector<SampleRow> plain(64, {1, 0, 1, 0, 1, 2, 3, 4}), filtered(64, {1, 50, 0.9f, 0, 1, 2, 3, 4});
    for (const auto& [what, rows] : {std::pair("sample", &plain), {"sample top_k 50 top_p 0.9", &filtered}})
      report(std::string(what) + " M=64 V=151936", seconds(ops, logprob, 10, [&] {
               ops.sample(context, drawn, View(logprob.data, DType::kF32, {64}), logits, rows->data());
             }), 0, 4.0 * 64 * 151936);
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "error[%s]: %s: %s\n", error.code.c_str(), error.what(), error.received.c_str());
    return 1;
  }
}
