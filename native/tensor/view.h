// View: a dense row-major array that somebody else owns. Up to four dimensions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "base/dtype.h"
#include "base/error.h"

namespace winnow {

struct View {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int rank = 0;
  std::array<int64_t, 4> shape{};  // shape[0..rank)

  View() = default;
  View(void* data_, DType dtype_, std::initializer_list<int64_t> shape_)
      : data(data_), dtype(dtype_), rank(static_cast<int>(shape_.size())) {
    int axis = 0;
    for (int64_t extent : shape_) shape[static_cast<size_t>(axis++)] = extent;
  }

  explicit operator bool() const { return data != nullptr; }
  int64_t rows() const { return rank == 0 ? 0 : shape[0]; }
  int64_t cols() const { return rows() == 0 ? 0 : size() / rows(); }  // every axis but the first
  int64_t size() const {
    int64_t count = rank == 0 ? 0 : 1;
    for (int axis = 0; axis < rank; ++axis) count *= shape[static_cast<size_t>(axis)];
    return count;
  }
  size_t size_bytes() const { return static_cast<size_t>(size()) * winnow::size_bytes(dtype); }

  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
  float* f32() const {
    WINNOW_DCHECK(dtype == DType::kF32);
    return as<float>();
  }
  int32_t* i32() const {
    WINNOW_DCHECK(dtype == DType::kI32);
    return as<int32_t>();
  }

  // Rows [begin, begin + count) of the first axis, as a view of the same memory.
  View slice_rows(int64_t begin, int64_t count) const {
    WINNOW_DCHECK(rank >= 1 && begin >= 0 && begin + count <= shape[0]);
    View slice = *this;
    slice.shape[0] = count;
    const int64_t row = rows() == 0 ? 0 : size() / rows();
    slice.data = static_cast<std::byte*>(data) + static_cast<size_t>(begin * row) * winnow::size_bytes(dtype);
    return slice;
  }
};

}  // namespace winnow
