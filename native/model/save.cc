// Writing weights: of the decoder, of its adapter, or of both in one.
#include <algorithm>

#include "io/safetensors.h"
#include "model/host_memory.h"
#include "model/model_state.h"

namespace winnow {
namespace {

void require_dtype(DType dtype) {
  WINNOW_CHECK(dtype == DType::kF32 || dtype == DType::kBF16, "ERR_MODEL_CONFIG",
               "weights cannot be saved in this number format", "f32 or bf16", name(dtype));
}

void require_adapter(const ModelState& state) {
  WINNOW_CHECK(state.adapter, "ERR_ADAPTER_STATE", "the model has no adapter", "a model after addAdapter");
}

std::vector<int64_t> shape_of(const ParameterSpec& spec) {
  return is_matrix(spec) ? std::vector<int64_t>{spec.rows, spec.cols} : std::vector<int64_t>{spec.cols};
}

struct Copies {
  std::vector<std::vector<std::byte>> plain;  // of what is in another memory
  std::vector<std::byte> master;              // one at a time of those that the packed weights hold
};

// Parameters as they are, but for the value head; what is written reads `copies`.
std::vector<TensorToWrite> plain_tensors(ModelState& state, std::span<const Parameter> parameters,
                                         DType dtype, Copies& copies) {
  copies.plain.resize(parameters.size());
  std::vector<TensorToWrite> tensors;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const Parameter& parameter = parameters[i];
    if (parameter.spec.kind == ParameterKind::kValueHead) continue;
    if (parameter.master_rest) {
      const View shape(nullptr, DType::kF32, {parameter.spec.rows, parameter.spec.cols});
      tensors.push_back(
          {parameter.spec.name, dtype, shape_of(parameter.spec), shape,
           [&state, &copies, &parameter] { return host_values(state, parameter, copies.master); }});
      continue;
    }
    const View source = parameter.value
                            ? host_view(state.context, state.ops, parameter.value.view(), copies.plain[i])
                            : parameter.source;
    tensors.push_back({parameter.spec.name, dtype, shape_of(parameter.spec), source});
  }
  return tensors;
}

float element(const View& source, int64_t index) {
  if (source.dtype == DType::kBF16) return bf16_to_f32(source.as<const bf16>()[index]);
  if (source.dtype == DType::kF16) return f16_to_f32(source.as<const f16>()[index]);
  return source.as<const float>()[index];
}

// W + s B A, one matrix at a time. The sum over the rank is in double, so that it has no order.
class Merger {
 public:
  explicit Merger(const ModelState& state) : state_(state) {}

  View merged(const Parameter& weight, const View& source) {
    const View a = host_view(state_.context, state_.ops, weight.adapter_a->value.view(), a_);
    const View b = host_view(state_.context, state_.ops, weight.adapter_b->value.view(), b_);
    const int64_t cols = weight.spec.cols, rank = a.rows();
    values_.resize(static_cast<size_t>(source.size()));
    state_.context.pool.parallel_for(weight.spec.rows, [&](int64_t n, int) {
      std::vector<double> row(static_cast<size_t>(cols));
      for (int64_t r = 0; r < rank; ++r) {
        const auto factor = static_cast<double>(b.f32()[n * rank + r]);
        for (int64_t k = 0; k < cols; ++k)
          row[static_cast<size_t>(k)] += factor * static_cast<double>(a.f32()[r * cols + k]);
      }
      for (int64_t k = 0; k < cols; ++k) {
        const double change = row[static_cast<size_t>(k)] * static_cast<double>(state_.adapter_scale);
        values_[static_cast<size_t>(n * cols + k)] =
            element(source, n * cols + k) + static_cast<float>(change);
      }
    });
    return View(values_.data(), DType::kF32, {weight.spec.rows, cols});
  }

 private:
  const ModelState& state_;
  std::vector<std::byte> a_, b_;
  std::vector<float> values_;
};

}  // namespace

void Model::save(const std::string& path, DType dtype) const {
  require_dtype(dtype);
  WINNOW_CHECK(!state_->adapter, "ERR_ADAPTER_STATE",
               "the model has an adapter, which its weights do not hold",
               "saveAdapter for the adapter alone, or saveMerged for both in one", "save");
  Copies copies;
  write_safetensors(path, plain_tensors(*state_, state_->decoder(), dtype, copies), {{"format", "pt"}});
}

void Model::save_adapter(const std::string& path) const {
  require_adapter(*state_);
  Copies copies;
  write_safetensors(path, plain_tensors(*state_, state_->adapter_matrices(), DType::kF32, copies),
                    {{"format", "pt"}});
}

void Model::save_merged(const std::string& path, DType dtype) const {
  require_dtype(dtype);
  require_adapter(*state_);
  Copies copies;
  std::vector<TensorToWrite> tensors = plain_tensors(*state_, state_->decoder(), dtype, copies);
  Merger merger(*state_);
  // The value head, which is left out, stands last.
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Parameter& weight = state_->parameters[i];
    if (!weight.adapter_a) continue;
    const View source = tensors[i].source;
    tensors[i].source.dtype = DType::kF32;
    tensors[i].make = [&merger, &weight, source] { return merger.merged(weight, source); };
  }
  write_safetensors(path, tensors, {{"format", "pt"}});
}

}  // namespace winnow
