// The engine's side of the optimizer's operations.
#include <cmath>

#include "backend/cuda/call.h"
#include "backend/optimizer_shapes.h"

namespace winnow::cuda {

static_assert(kMomentEntries == kMomentBlock);

double squared_norm(Context& context, View x) {
  require_shape("squared_norm", "x", x, x.rows(), x.cols());
  double sum = 0;
  call(context, [&](const Table& table, Device* device) {
    return table.squared_norm(device, x.as<float>(), x.size(), &sum);
  });
  return sum;
}

namespace {

AdamwFactors adamw_factors(const AdamwOptions& options) {
  const double beta1 = static_cast<double>(options.beta1), beta2 = static_cast<double>(options.beta2);
  const double learning_rate = static_cast<double>(options.learning_rate);
  const double correction1 = 1.0 - std::pow(beta1, static_cast<double>(options.step));
  const double correction2 = 1.0 - std::pow(beta2, static_cast<double>(options.step));
  const auto rounded = [](double factor) { return static_cast<float>(factor); };
  return {.scale = options.gradient_scale,
          .beta1 = options.beta1,
          .one_minus_beta1 = rounded(1.0 - beta1),
          .beta2 = options.beta2,
          .one_minus_beta2 = rounded(1.0 - beta2),
          .decay = rounded(1.0 - learning_rate * static_cast<double>(options.weight_decay)),
          .negative_step = rounded(-learning_rate / correction1),
          .root_correction = rounded(1.0 / std::sqrt(correction2)),
          .epsilon = options.epsilon};
}

}  // namespace

void adamw(Context& context, View value, View moment1, View moment2, View gradient, AdamwOptions options) {
  require_f32_moments("adamw", value, moment1, moment2, gradient);
  require_step("adamw", options);
  const AdamwFactors factors = adamw_factors(options);
  call(context, [&](const Table& table, Device* device) {
    return table.adamw(device, value.as<float>(), moment1.as<float>(), moment2.as<float>(),
                       gradient.as<float>(), value.size(), &factors);
  });
}

void adamw_8bit(Context& context, View value, QuantisedMoments moments, View gradient, AdamwOptions options) {
  require_moments("adamw_8bit", value, moments, gradient);
  require_step("adamw_8bit", options);
  const AdamwFactors factors = adamw_factors(options);
  const Moments own{moments.codes1.as<uint8_t>(), moments.scales1.as<float>(), moments.codes2.as<uint8_t>(),
                    moments.scales2.as<float>()};
  call(context, [&](const Table& table, Device* device) {
    return table.adamw_8bit(device, value.as<float>(), &own, gradient.as<float>(), value.size(), &factors);
  });
}

namespace {

// Where the weights of a row begin; they lie row by row.
std::byte* weights_of(const PackedWeight& weight, int64_t row) {
  return static_cast<std::byte*>(weight.data) + packed_weight_bytes(row, weight.k, weight.dtype);
}

}  // namespace

void pack_master(Context& context, PackedWeight weight, View rest, View value, int64_t first_row) {
  require_masters("pack_master", value, weight, rest, first_row);
  std::byte* to = weights_of(weight, first_row);
  call(context, [&](const Table& table, Device* device) {
    if (weight.dtype == DType::kF32) return table.copy(device, to, value.data, value.size_bytes());
    return table.pack_master(device, reinterpret_cast<uint16_t*>(to),
                             rest.as<uint8_t>() + first_row * rest.cols(), value.as<float>(), value.rows(),
                             weight.k);
  });
}

void unpack_master(Context& context, View value, PackedWeight weight, View rest, int64_t first_row) {
  require_masters("unpack_master", value, weight, rest, first_row);
  const std::byte* from = weights_of(weight, first_row);
  call(context, [&](const Table& table, Device* device) {
    if (weight.dtype == DType::kF32) return table.copy(device, value.data, from, value.size_bytes());
    return table.unpack_master(device, value.as<float>(), reinterpret_cast<const uint16_t*>(from),
                               rest.as<uint8_t>() + first_row * rest.cols(), value.rows(), weight.k);
  });
}

}  // namespace winnow::cuda
