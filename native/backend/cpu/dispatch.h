// The instruction sets that the CPU backend is compiled for, and which of them this machine has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backend/ops.h"

namespace winnow::cpu {

// One unit each (isa_*.cc). Calling an operation of a set that the machine lacks is an illegal instruction.
const Ops& avx2_ops();
const Ops& avx512_ops();
const Ops& avx512bf16_ops();
const Ops& avx512amx_ops();

// Names of the sets that this machine and its operating system can run, best first; may be empty.
std::vector<std::string> usable_instruction_sets();

// The backend of one set by name; throws ERR_CPU_UNSUPPORTED for an unknown or unusable one.
const Ops& ops_of(std::string_view instruction_set);

}  // namespace winnow::cpu
