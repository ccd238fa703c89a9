// oneDNN: y [m, n] = x [m, k] w [n, k]^T in f32 or bf16. The weight is put in the blocked layout that the primitive asks
// for before the clock starts, as a library does that loads weights once; x and y are plain.
#include <omp.h>

#include <cstring>
#include <unordered_map>

#include "oneapi/dnnl/dnnl.hpp"
#include "trial.h"

namespace {

using dnnl::memory;

std::string versions() {
  const dnnl_version_t* v = dnnl_version();
  return "{\"onednn\":\"" + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch) +
         "\"}";
}

memory::data_type type_of(const std::string& dtype) {
  return dtype == "bf16" ? memory::data_type::bf16 : memory::data_type::f32;
}

dnnl::matmul::primitive_desc describe(const peer::Request& r, const dnnl::engine& engine) {
  const memory::data_type type = type_of(r.dtype);
  return {{memory::desc({r.m, r.k}, type, memory::format_tag::ab),
           memory::desc({r.k, r.n}, type, memory::format_tag::any),
           memory::desc({r.m, r.n}, type, memory::format_tag::ab)},
          engine};
}

// Whether there is a kernel for this processor; oneDNN's plain loops ("ref") stand in where there is none.
bool is_done(const peer::Request& r, const dnnl::engine& engine) {
  if (r.dtype != "f32" && r.dtype != "bf16") return false;
  try {
    return std::string(describe(r, engine).impl_info_str()).find("ref") == std::string::npos;
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_unimplemented) return false;
    throw;
  }
}

// A memory with the values, which are f32 [rows, columns], in the layout that `wanted` asks for.
memory laid_out(const std::vector<float>& values, const memory::desc& plain, const memory::desc& wanted,
                const dnnl::engine& engine, dnnl::stream& stream) {
  memory from(plain, engine, const_cast<float*>(values.data())), to(wanted, engine);
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
  return to;
}

double output_at(const memory& y, bool is_bf16, int64_t at) {
  if (!is_bf16) return static_cast<const float*>(y.get_data_handle())[at];
  const uint32_t bits = uint32_t{static_cast<const uint16_t*>(y.get_data_handle())[at]} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

int measure(const peer::Request& r, const dnnl::engine& engine) {
  omp_set_num_threads(r.threads);
  dnnl::stream stream(engine);
  const auto description = describe(r, engine);
  const dnnl::matmul product(description);
  const std::vector<float> x = peer::random_values(r.m * r.k, 1), w = peer::random_values(r.n * r.k, 2);
  const auto f32 = memory::data_type::f32;
  const memory input =
      laid_out(x, {{r.m, r.k}, f32, memory::format_tag::ab}, description.src_desc(), engine, stream);
  std::vector<memory> weights;
  for (int i = 0; i < peer::weight_copies(r, r.dtype == "bf16" ? 2 : 4); ++i)
    weights.push_back(laid_out(w, {{r.k, r.n}, f32, memory::format_tag::ba}, description.weights_desc(), engine, stream));
  const memory output(description.dst_desc(), engine);
  const std::vector<double> seconds = peer::time_products(r.repetitions, [&](int i) {
    product.execute(stream, {{DNNL_ARG_SRC, input}, {DNNL_ARG_WEIGHTS, weights[i % weights.size()]}, {DNNL_ARG_DST, output}});
    stream.wait();
  });
  const double error =
      peer::relative_error(r, x, w, [&](int64_t at) { return output_at(output, r.dtype == "bf16", at); });
  peer::reply(seconds, error, std::string("\"kernel\":\"") + description.impl_info_str() + "\",", versions());
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  if (count > 1 && std::string(arguments[1]) == "--list") {
    const bool has_bf16 = is_done({64, 256, 256, 1, 1, "bf16"}, engine);
    return peer::list("onednn", has_bf16 ? "\"f32\",\"bf16\"" : "\"f32\"", versions()), 0;
  }
  const peer::Request request = peer::read_request();
  if (is_done(request, engine)) return measure(request, engine);
  std::cerr << "dtype " << request.dtype << ": oneDNN has no kernel for it on this processor\n";
  return peer::kExitNotDone;
}
