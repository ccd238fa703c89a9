#include "io/safetensors_format.h"

#include <algorithm>
#include <tuple>

#include "base/error.h"

namespace winnow {
namespace {

struct Format {
  std::string_view name;
  int bits;
};
constexpr Format kFormats[] = {
    {"BOOL", 8},    {"U8", 8},   {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F6_E2M3", 6},
    {"F6_E3M2", 6}, {"F4", 4},   {"I16", 16}, {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},
    {"U32", 32},    {"F32", 32}, {"I64", 64}, {"U64", 64},    {"F64", 64},    {"C64", 64},
};

[[noreturn]] void fail(const std::string& file, const std::string& name, const std::string& expected,
                       const std::string& received) {
  throw Error("ERR_FILE_FORMAT", "bad tensor \"" + name + "\" in " + file, expected, received,
              "the file is damaged or not a safetensors file");
}

// Bytes of the shape; fails on overflow and on a size that is no whole number of bytes.
uint64_t bytes_of_entry(const HeaderEntry& entry, const std::string& file) {
  const int bits = bits_of_format(entry.dtype);
  if (bits == 0) fail(file, entry.name, "a number format of safetensors", "\"" + entry.dtype + "\"");
  uint64_t total = static_cast<uint64_t>(bits);
  for (const uint64_t extent : entry.shape)
    if (__builtin_mul_overflow(total, extent, &total))
      fail(file, entry.name, "a shape that fits in memory", "overflow");
  if (total % 8 != 0) fail(file, entry.name, "whole bytes", std::to_string(total) + " bits");
  return total / 8;
}

}  // namespace

int bits_of_format(std::string_view format) {
  for (const Format& known : kFormats)
    if (known.name == format) return known.bits;
  return 0;
}

bool dtype_of_format(std::string_view format, DType& dtype) {
  for (const DType candidate : {DType::kF32, DType::kBF16, DType::kF16, DType::kI32, DType::kU8})
    if (format_of_dtype(candidate) == format) {
      dtype = candidate;
      return true;
    }
  return false;
}

std::string_view format_of_dtype(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kBF16:
      return "BF16";
    case DType::kF16:
      return "F16";
    case DType::kI32:
      return "I32";
    case DType::kU8:
      return "U8";
  }
  return "";
}

void check_layout(std::vector<HeaderEntry>& entries, uint64_t data_bytes, const std::string& file) {
  std::sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  uint64_t position = 0;
  for (const HeaderEntry& entry : entries) {
    const std::string range = std::to_string(entry.begin) + " to " + std::to_string(entry.end);
    if (entry.begin > entry.end) fail(file, entry.name, "a range that begins before it ends", range);
    if (entry.begin != position)
      fail(file, entry.name, "a range from byte " + std::to_string(position) + ", where the one before ends",
           range + (entry.begin < position ? ": an overlap" : ": a hole"));
    if (entry.end > data_bytes)
      fail(file, entry.name, "a range within the " + std::to_string(data_bytes) + " bytes of data", range);
    const uint64_t size = bytes_of_entry(entry, file);
    if (entry.end - entry.begin != size)
      fail(file, entry.name, std::to_string(size) + " bytes, as the shape says",
           std::to_string(entry.end - entry.begin) + " bytes");
    position = entry.end;
  }
  if (position != data_bytes)
    throw Error("ERR_FILE_FORMAT", "data that no tensor owns in " + file,
                std::to_string(position) + " bytes of data", std::to_string(data_bytes) + " bytes",
                "the file is damaged or not a safetensors file");
}

}  // namespace winnow
