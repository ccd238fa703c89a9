// How much memory the host has left.
#pragma once

#include <cstdint>

namespace winnow {

// Bytes that can be allocated without swapping: the kernel's estimate, lowered by the control group's
// limit. The largest int64 where the system does not tell.
int64_t available_memory_bytes();

}  // namespace winnow
