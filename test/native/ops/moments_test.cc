// AdamW on moments of 8 bits: fast against reference, and the codes themselves.
#include "backend/moment_codes.h"

#include <cmath>

#include "op_test.h"

namespace winnow::test {
namespace {

constexpr int64_t kSizes[] = {0, 1, 15, 255, 256, 257, 1000, 40001};

// A number next to the border between two codes may get either.
constexpr Tolerance kOneCode{1, 0, 1e-5};

std::vector<OpCase> adamw_8bit_cases() {
  std::vector<OpCase> all;
  for (const int64_t size : kSizes)
    for (const int64_t step : {1, 100000}) {
      const int64_t blocks = (size + kMomentBlock - 1) / kMomentBlock;
      AdamwOptions options{
          .learning_rate = 0.01f, .weight_decay = 0.1f, .gradient_scale = 0.5f, .step = step};
      all.push_back(
          {text("size ", size, " step ", step),
           {acc("value", {size}, tolerance::cancelling(16, 1)),
            acc("codes1", {size}, kOneCode, 0, 255).as(DType::kU8),
            acc("scales1", {blocks}, tolerance::elementwise(12), 0.5, 1),
            acc("codes2", {size}, kOneCode, 1, 256).as(DType::kU8),
            acc("scales2", {blocks}, tolerance::elementwise(12), 0.5, 1), input("gradient", {size})},
           [=](const Ops& ops, Context& context, const std::vector<View>& v) {
             ops.adamw_8bit(context, v[0], {v[1], v[2], v[3], v[4]}, v[5], options);
             return std::vector<double>{};
           }});
    }
  return all;
}

TEST("ops/moment codes/every code is the nearest to what it stands for") {
  for (int code = 0; code < 256; ++code) {
    const auto byte = static_cast<uint8_t>(code);
    const double m = decode_moment1(byte, 3.5f), v = decode_moment2(byte, 3.5f);
    if (code < 255) EXPECT(encode_moment1(m, 3.5f) == byte, "moment1 ", code);
    EXPECT(encode_moment2(v, 3.5f) == byte, "moment2 ", code);
  }
  EXPECT(decode_moment1(0, 2) == -2 && decode_moment1(127, 2) == 0 && decode_moment1(254, 2) == 2, "ends");
  EXPECT(decode_moment2(0, 2) == 0 && decode_moment2(255, 2) == 2, "ends");
  EXPECT(encode_moment2(1e-30, 1) == 1, "a positive second moment stays positive");
  EXPECT(encode_moment1(0, 0) == 127 && encode_moment2(0, 0) == 0, "a block of zeros");
  // Codes lie at (c/127)^2 and (c/255)^4, so from one border to the next the relative step is 2/c and 4/c.
  for (const double entry : {1.0, 0.3, 1e-2, 1e-3}) {
    const double m = decode_moment1(encode_moment1(entry, 1), 1),
                 v = decode_moment2(encode_moment2(entry, 1), 1);
    EXPECT(std::abs(m - entry) <= 1.02 * entry / (127 * std::sqrt(entry)), "moment1 of ", entry);
    EXPECT(std::abs(v - entry) <= 2.05 * entry / (255 * std::sqrt(std::sqrt(entry))), "moment2 of ", entry);
  }
}

// Moments of zero bytes are zero moments: the first step is that of f32 moments, bit for bit.
void check_first_step(const Ops& ops) {
  ThreadPool pool(2);
  Context context{pool};
  Random random("first step");
  const int64_t size = 700, blocks = 3;
  std::vector<float> value(size), gradient(size);
  for (float& entry : value) entry = static_cast<float>(random.uniform(-1, 1));
  // Some so small beside the others that the nearest code of their second moment is 0.
  for (size_t i = 300; i < gradient.size(); ++i)
    gradient[i] = static_cast<float>(i % 7 == 0 ? 1e-7 : random.uniform(-1, 1));
  std::vector<float> expected = value, m(size), v(size), scales1(blocks), scales2(blocks);
  std::vector<uint8_t> codes1(size), codes2(size);
  const auto view = [](std::vector<float>& from) {
    return View(from.data(), DType::kF32, {static_cast<int64_t>(from.size())});
  };
  const auto codes = [](std::vector<uint8_t>& from) {
    return View(from.data(), DType::kU8, {static_cast<int64_t>(from.size())});
  };
  const AdamwOptions options{.learning_rate = 0.01f, .weight_decay = 0.1f};
  const Placed slope(ops, context, view(gradient));
  const Placed exact[] = {{ops, context, view(expected)}, {ops, context, view(m)}, {ops, context, view(v)}};
  ops.adamw(context, exact[0].view(), exact[1].view(), exact[2].view(), slope.view(), options);
  const Placed small[] = {{ops, context, view(value)},
                          {ops, context, codes(codes1)},
                          {ops, context, view(scales1)},
                          {ops, context, codes(codes2)},
                          {ops, context, view(scales2)}};
  ops.adamw_8bit(context, small[0].view(),
                 {small[1].view(), small[2].view(), small[3].view(), small[4].view()}, slope.view(), options);
  for (const Placed& placed : exact) placed.read_back();
  for (const Placed& placed : small) placed.read_back();
  EXPECT(value == expected, "the first step");
  EXPECT(scales1[0] == 0 && scales2[0] == 0 && scales1[1] > 0 && scales2[2] > 0, "scales of the blocks");
  for (const size_t i : {0, 299}) EXPECT(codes1[i] == 127 && codes2[i] == 0, "no gradient, no moment");
  for (size_t i = 300; i < gradient.size(); ++i) {
    const float scale1 = scales1[i / 256];
    EXPECT(std::abs(decode_moment1(codes1[i], scale1) - static_cast<double>(m[i])) <=
               1.1 / 127 * std::sqrt(std::abs(static_cast<double>(m[i]) * static_cast<double>(scale1))) +
                   1e-5 * static_cast<double>(scale1),
           "moment1 ", i);
    EXPECT(codes2[i] > 0, "moment2 stays positive ", i);
  }
}

const Registration registered([] {
  add_op_tests("adamw_8bit", adamw_8bit_cases);
  add_backend_tests("adamw_8bit starts as adamw", check_first_step);
});

}  // namespace
}  // namespace winnow::test
