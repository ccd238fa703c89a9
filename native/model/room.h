// Memory that a plan asks for before anything of it is allocated.
#pragma once

#include <cstdint>
#include <string>

#include "backend/ops.h"

namespace winnow {

// Throws ERR_MEMORY_PLAN when the memory that `ops` allocates from, the host's or the device's, has less than
// `needed` bytes left; `plan` lists what they are for.
void require_memory(Context& context, const Ops& ops, int64_t needed, const std::string& plan,
                    const std::string& hint);

// While it lives, allocations come from `size_bytes` that were taken at once (Ops::reserve).
class Reservation {
 public:
  Reservation() = default;
  Reservation(Context& context, const Ops& ops, int64_t size_bytes);  // nothing where 0
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&&) = delete;
  ~Reservation();

 private:
  Context* context_ = nullptr;  // null: holds none
  const Ops* ops_ = nullptr;
};

// What an allocation of `size_bytes` takes of a reservation.
constexpr int64_t reserved_bytes(int64_t size_bytes) {
  const int64_t unit = kAllocationUnit;
  return (size_bytes + unit - 1) / unit * unit;
}

}  // namespace winnow
