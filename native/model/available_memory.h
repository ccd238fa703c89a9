// How much memory a plan may count on.
#pragma once

#include <cstdint>
#include <string>

namespace winnow {

// Bytes that can be allocated without swapping: the kernel's estimate, lowered by the control group's
// limit. The largest int64 where the system does not tell.
int64_t available_memory_bytes();

// Throws ERR_MEMORY_PLAN when `needed` bytes are not available; `plan` lists what they are for.
void require_memory(int64_t needed, const std::string& plan, const std::string& hint);

}  // namespace winnow
