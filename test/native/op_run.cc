// One guarded call of an op: memory, poison, and what must not have changed.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "op_test.h"

namespace winnow::test {
namespace {

constexpr uint32_t kPoison = 0x7fc0dead;  // a NaN as f32, a token out of any range as i32
constexpr size_t kGuardBytes = 512;
constexpr size_t kScratchBytes = size_t{1} << 20;

std::byte poison_byte(size_t index) { return static_cast<std::byte>(kPoison >> (8 * (index % 4))); }

void poison(std::byte* data, size_t size_bytes) {
  for (size_t i = 0; i < size_bytes; ++i) data[i] = poison_byte(i);
}

bool poisoned(const std::byte* data, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i)
    if (data[i] != poison_byte(i)) return false;
  return true;
}

void poison_scratch(ThreadPool& pool) {
  for (int thread = 0; thread < pool.threads(); ++thread) {
    auto* words = reinterpret_cast<uint32_t*>(pool.scratch(thread, kScratchBytes));
    std::fill(words, words + kScratchBytes / 4, kPoison);
  }
}

double random_number(Random& random, const Operand& operand) {
  if (operand.away == 0) return random.uniform(operand.low, operand.high);
  const double sign = random.bits() & 1 ? 1 : -1;
  return sign * random.uniform(operand.away, operand.high);
}

// An operand in the backend's memory. It starts one element off the allocation's alignment, as a slice
// of rows may, unless it is memory that the contract aligns.
class GuardedOperand {
 public:
  GuardedOperand(const Ops& ops, Context& context, const Operand& operand, const Array& array)
      : ops_(ops), context_(context), operand_(operand), array_(array) {
    begin_ = kGuardBytes + (operand.in_view ? size_bytes(array.dtype) : 0);
    image_.resize(begin_ + array.bytes.size() + kGuardBytes);
    poison(image_.data(), image_.size());
    std::copy(array.bytes.begin(), array.bytes.end(), image_.begin() + static_cast<ptrdiff_t>(begin_));
    data_ = static_cast<std::byte*>(ops.allocate(context, image_.size()));
    ops.upload(context, data_, image_.data(), image_.size());
  }
  ~GuardedOperand() { ops_.release(context_, data_); }
  GuardedOperand(const GuardedOperand&) = delete;
  GuardedOperand& operator=(const GuardedOperand&) = delete;

  View view() const { return array_.view(data_ + begin_); }

  Array read_back() {
    ops_.download(context_, image_.data(), data_, image_.size());
    const size_t end = begin_ + array_.bytes.size();
    if (!poisoned(image_.data(), 0, begin_)) fail("wrote before the begin of ", operand_.name);
    if (!poisoned(image_.data(), end, image_.size())) fail("wrote past the end of ", operand_.name);
    Array result = array_;
    std::copy(image_.begin() + static_cast<ptrdiff_t>(begin_), image_.begin() + static_cast<ptrdiff_t>(end),
              result.bytes.begin());
    if (operand_.role == Role::kInput && result.bytes != array_.bytes)
      fail("wrote to the input ", operand_.name);
    return result;
  }

 private:
  const Ops& ops_;
  Context& context_;
  const Operand& operand_;
  const Array& array_;
  size_t begin_ = 0;
  std::vector<std::byte> image_;
  std::byte* data_ = nullptr;
};

}  // namespace

View Array::view(void* data) const {
  View result;
  result.data = data;
  result.dtype = dtype;
  result.rank = static_cast<int>(shape.size());
  std::copy(shape.begin(), shape.end(), result.shape.begin());
  return result;
}

double Array::number(int64_t index) const {
  const size_t i = static_cast<size_t>(index) * size_bytes(dtype);
  uint32_t word = 0;
  std::memcpy(&word, bytes.data() + i, size_bytes(dtype));
  switch (dtype) {
    case DType::kF32:
      return static_cast<double>(std::bit_cast<float>(word));
    case DType::kI32:
      return static_cast<int32_t>(word);
    case DType::kBF16:
      return static_cast<double>(bf16_to_f32(static_cast<bf16>(word)));
    case DType::kF16:
      return static_cast<double>(f16_to_f32(static_cast<f16>(word)));
    case DType::kU8:
      return word;
  }
  return 0;
}

void Array::set_number(int64_t index, double value) {
  uint32_t word = 0;
  const float narrow = static_cast<float>(value);
  if (dtype == DType::kF32) word = std::bit_cast<uint32_t>(narrow);
  if (dtype == DType::kI32) word = static_cast<uint32_t>(static_cast<int32_t>(value));
  if (dtype == DType::kU8) word = static_cast<uint8_t>(value);
  if (dtype == DType::kBF16) word = f32_to_bf16(narrow);
  // Random binary16: the sign and the leading bits of the f32, its exponent moved to the middle range.
  if (dtype == DType::kF16)
    word = (std::bit_cast<uint32_t>(narrow) >> 16 & 0x8000u) |
           (std::bit_cast<uint32_t>(narrow) >> 13 & 0x3ffu) | 14u << 10;
  std::memcpy(bytes.data() + static_cast<size_t>(index) * size_bytes(dtype), &word, size_bytes(dtype));
}

std::vector<Array> make_arrays(const OpCase& op_case) {
  std::vector<Array> arrays;
  for (const Operand& operand : op_case.operands) {
    Array array{operand.dtype, operand.shape, {}};
    const int64_t count = array.size();
    array.bytes.resize(static_cast<size_t>(count) * size_bytes(operand.dtype));
    Random random(op_case.label + operand.name);
    for (int64_t i = 0; i < count; ++i) {
      double value = std::numeric_limits<double>::quiet_NaN();
      if (operand.role != Role::kSet)
        value =
            operand.values.empty() ? random_number(random, operand) : operand.values[static_cast<size_t>(i)];
      if (operand.role == Role::kSet && operand.dtype == DType::kI32) value = -1;
      if (operand.role == Role::kSet && operand.dtype == DType::kU8) value = 255;
      array.set_number(i, is_float(operand.dtype) ? value : std::floor(value));
    }
    arrays.push_back(std::move(array));
  }
  return arrays;
}

namespace {

// The operands of one call, in the backend's memory.
struct GuardedCall {
  GuardedCall(const Ops& ops, Context& context, const OpCase& op_case, const std::vector<Array>& arrays) {
    for (size_t i = 0; i < arrays.size(); ++i) {
      operands.push_back(std::make_unique<GuardedOperand>(ops, context, op_case.operands[i], arrays[i]));
      views.push_back(operands.back()->view());
    }
  }
  std::vector<Array> read_back() {
    std::vector<Array> arrays;
    for (const auto& operand : operands) arrays.push_back(operand->read_back());
    return arrays;
  }

  std::vector<std::unique_ptr<GuardedOperand>> operands;
  std::vector<View> views;
};

}  // namespace

Outcome run_case(const Ops& ops, ThreadPool& pool, const OpCase& op_case, const std::vector<Array>& arrays) {
  Context context{pool};
  poison_scratch(pool);
  GuardedCall guarded(ops, context, op_case, arrays);
  Outcome outcome;
  outcome.results = op_case.call(ops, context, guarded.views);
  outcome.arrays = guarded.read_back();
  return outcome;
}

std::vector<Array> run_refused(const Ops& ops, ThreadPool& pool, const OpCase& op_case,
                               const std::vector<Array>& arrays, const std::string& code) {
  Context context{pool};
  GuardedCall guarded(ops, context, op_case, arrays);
  expect_error(code, [&] {
    op_case.call(ops, context, guarded.views);
    std::byte waited;
    ops.download(context, &waited, guarded.views[0].data, sizeof waited);
  });
  return guarded.read_back();
}

GuardedWeight::GuardedWeight(const Ops& ops, Context& context, const View& source, int64_t n, int64_t k,
                             DType dtype)
    : ops_(ops), context_(context), weight_{nullptr, n, k, dtype} {
  const size_t size = ops.packed_weight_bytes(n, k, dtype);
  std::vector<std::byte> image(size + kGuardBytes);
  poison(image.data(), image.size());
  weight_.data = ops.allocate(context, image.size());
  ops.upload(context, weight_.data, image.data(), image.size());
  try {
    ops.pack_weight(context, weight_, source);
  } catch (...) {
    ops.release(context, weight_.data);
    throw;
  }
}

GuardedWeight::~GuardedWeight() { ops_.release(context_, weight_.data); }

void GuardedWeight::check_guard() const {
  const size_t size = ops_.packed_weight_bytes(weight_.n, weight_.k, weight_.dtype);
  std::vector<std::byte> image(size + kGuardBytes);
  ops_.download(context_, image.data(), weight_.data, image.size());
  if (!poisoned(image.data(), size, image.size())) fail("wrote past the end of the packed weight");
}

Placed::Placed(const Ops& ops, Context& context, const View& host)
    : ops_(ops), context_(context), host_(host), view_(host) {
  view_.data = ops.allocate(context, std::max<size_t>(1, host.size_bytes()));
  ops.upload(context, view_.data, host.data, host.size_bytes());
}

Placed::~Placed() { ops_.release(context_, view_.data); }

void Placed::read_back() const { ops_.download(context_, host_.data, view_.data, host_.size_bytes()); }

}  // namespace winnow::test
