#include "model/room.h"

#include <utility>

#include "base/error.h"
#include "model/host_memory.h"

namespace winnow {

void require_memory(Context& context, const Ops& ops, int64_t needed, const std::string& plan,
                    const std::string& hint) {
  const int64_t available = ops.available_bytes(context);
  if (needed <= available) return;
  const std::string where =
      shares_host_memory(ops) ? "" : " on " + std::string(ops.name) + ":" + std::to_string(context.device);
  throw Error("ERR_MEMORY_PLAN", "the memory that is available" + where + " does not suffice",
              "at most " + std::to_string(available) + " bytes",
              std::to_string(needed) + " bytes (" + plan + ")", hint);
}

Reservation::Reservation(Context& context, const Ops& ops, int64_t size_bytes) {
  if (size_bytes <= 0) return;
  ops.reserve(context, static_cast<size_t>(size_bytes));
  context_ = &context;
  ops_ = &ops;
}

Reservation::Reservation(Reservation&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)), ops_(other.ops_) {}

Reservation::~Reservation() {
  if (context_) ops_->reserve(*context_, 0);
}

}  // namespace winnow
