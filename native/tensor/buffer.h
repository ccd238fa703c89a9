// Buffer: move-only owner of memory that a backend allocated.
#pragma once

#include <functional>
#include <utility>

#include "tensor/view.h"

namespace winnow {

class Buffer {
 public:
  using Release = std::function<void(void*)>;
  Buffer() = default;
  // Takes over view.data; `release` frees it.
  Buffer(View view, Release release) : view_(view), release_(std::move(release)) {}
  Buffer(Buffer&& other) noexcept
      : view_(std::exchange(other.view_, View{})), release_(std::exchange(other.release_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      reset();
      view_ = std::exchange(other.view_, View{});
      release_ = std::exchange(other.release_, nullptr);
    }
    return *this;
  }
  ~Buffer() { reset(); }

  const View& view() const { return view_; }
  explicit operator bool() const { return static_cast<bool>(view_); }
  void reset() {
    if (view_.data && release_) release_(view_.data);
    view_ = View{};
    release_ = nullptr;
  }

 private:
  View view_;
  Release release_;
};

}  // namespace winnow
