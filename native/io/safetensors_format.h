// Number formats and sizes of safetensors, shared by reader and writer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "io/json_header.h"

namespace winnow {

// As in the reference implementation: larger headers are refused before they are read.
constexpr uint64_t kMostHeaderBytes = 100'000'000;

// Bits of one element, or 0 for a format that safetensors does not have. Names are upper case.
int bits_of_format(std::string_view format);

// The DType of a format; false for those that the engine does not compute with.
bool dtype_of_format(std::string_view format, DType& dtype);

std::string_view format_of_dtype(DType dtype);

// Sorts the entries by position and checks that they fill [0, data_bytes) without overlap or hole, and
// that each range has the size of its shape. Throws ERR_FILE_FORMAT naming `file` and the tensor.
void check_layout(std::vector<HeaderEntry>& entries, uint64_t data_bytes, const std::string& file);

}  // namespace winnow
