// Masters that live in the packed weight: what goes in comes out, and the weight is that of pack_weight.
#include <bit>

#include "op_test.h"

namespace winnow::test {
namespace {

struct Extents {
  int64_t n, k;
};
constexpr Extents kExtents[] = {{1, 1}, {16, 16}, {17, 33}, {48, 7}, {33, 40}, {64, 128}};

// Every pattern of the low half that rounding treats in its own way, below even and odd high halves.
std::vector<float> hostile_masters(int64_t count) {
  constexpr uint32_t kLow[] = {0x0000, 0x0001, 0x7fff, 0x8000, 0x8001, 0xffff};
  constexpr uint32_t kHigh[] = {0x0000, 0x8000, 0x3f80, 0x3f81, 0xbf7f,
                                0x7f7f, 0xff7f, 0x0001, 0x807f, 0x00ff};
  std::vector<float> masters;
  for (int64_t i = 0; i < count; ++i)
    masters.push_back(std::bit_cast<float>(kHigh[static_cast<size_t>(i) % 10] << 16 |
                                           kLow[static_cast<size_t>(i) / 10 % 6]));
  return masters;
}

// A weight of zeros.
struct ZeroWeight {
  ZeroWeight(const Ops& ops, Context& context, int64_t n, int64_t k, DType dtype)
      : zeros(static_cast<size_t>(n * k)),
        source(ops, context, View(zeros.data(), DType::kF32, {n, k})),
        weight(ops, context, source.view(), n, k, dtype) {}
  std::vector<float> zeros;
  Placed source;
  GuardedWeight weight;
};

std::vector<OpCase> pack_cases() {
  std::vector<OpCase> all;
  for (const auto& [n, k] : kExtents)
    for (const DType dtype : {DType::kF32, DType::kBF16})
      all.push_back({text(n, " x ", k, " ", name(dtype)),
                     {input("value", {n, k}),
                      set("rest", {n, master_rest_bytes(k, dtype)}, tolerance::exact()).as(DType::kU8)},
                     [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                       const ZeroWeight zero(ops, context, n, k, dtype);
                       ops.pack_master(context, zero.weight.get(), v[1], v[0], 0);
                       zero.weight.check_guard();
                       return std::vector<double>{};
                     }});
  return all;
}

std::vector<OpCase> unpack_cases() {
  std::vector<OpCase> all;
  for (const auto& [n, k] : kExtents)
    for (const DType dtype : {DType::kF32, DType::kBF16})
      all.push_back({text(n, " x ", k, " ", name(dtype)),
                     {set("value", {n, k}, tolerance::exact())},
                     [=](const Ops& ops, Context& context, const std::vector<View>& v) {
                       const ZeroWeight zero(ops, context, n, k, dtype);
                       std::vector<float> masters = hostile_masters(n * k);
                       std::vector<uint8_t> bytes(static_cast<size_t>(n * master_rest_bytes(k, dtype)) + 1);
                       const Placed rest(ops, context,
                                         View(bytes.data(), DType::kU8, {n, master_rest_bytes(k, dtype)}));
                       const Placed from(ops, context, View(masters.data(), DType::kF32, {n, k}));
                       ops.pack_master(context, zero.weight.get(), rest.view(), from.view(), 0);
                       ops.unpack_master(context, v[0], zero.weight.get(), rest.view(), 0);
                       return std::vector<double>{};
                     }});
  return all;
}

// Rows packed part by part: the bytes of the weight are those of pack_weight, and every master comes back.
void check_parts(const Ops& ops) {
  ThreadPool pool(2);
  Context context{pool};
  constexpr int64_t n = 37, k = 21;
  std::vector<float> masters = hostile_masters(n * k), again(masters.size());
  const Placed from(ops, context, View(masters.data(), DType::kF32, {n, k}));
  const Placed to(ops, context, View(again.data(), DType::kF32, {n, k}));
  const View &all = from.view(), &back = to.view();
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const GuardedWeight expected(ops, context, all, n, k, dtype), weight(ops, context, back, n, k, dtype);
    std::vector<uint8_t> bytes(static_cast<size_t>(n * master_rest_bytes(k, dtype)) + 1);
    const Placed placed(ops, context, View(bytes.data(), DType::kU8, {n, master_rest_bytes(k, dtype)}));
    const View& rest = placed.view();
    for (const auto& [first, count] : {std::pair<int64_t, int64_t>{16, 16}, {0, 16}, {32, 5}})
      ops.pack_master(context, weight.get(), rest, all.slice_rows(first, count), first);
    const size_t size = ops.packed_weight_bytes(n, k, dtype);
    std::vector<std::byte> got(size), wanted(size);
    ops.download(context, got.data(), weight.get().data, size);
    ops.download(context, wanted.data(), expected.get().data, size);
    EXPECT(got == wanted, "the packed weight, ", name(dtype));
    for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 32}, {32, 5}})
      ops.unpack_master(context, back.slice_rows(first, count), weight.get(), rest, first);
    to.read_back();
    for (size_t i = 0; i < masters.size(); ++i)
      EXPECT(std::bit_cast<uint32_t>(again[i]) == std::bit_cast<uint32_t>(masters[i]), name(dtype),
             " master ", i);
    for (const auto& [first, count] : {std::pair<int64_t, int64_t>{8, 16}, {0, 15}, {32, 6}, {-16, 16}})
      expect_error("ERR_SHAPE", [&] {
        const View part(all.data, DType::kF32, {count, k});
        ops.pack_master(context, weight.get(), rest, part, first);
      });
    ops.zero(context, back.data, back.size_bytes());
  }
}

const Registration registered([] {
  add_op_tests("pack_master", pack_cases);
  add_op_tests("unpack_master", unpack_cases);
  add_backend_tests("master of hostile numbers, part by part", check_parts);
});

}  // namespace
}  // namespace winnow::test
