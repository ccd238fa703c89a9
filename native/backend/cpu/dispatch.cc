#include "backend/cpu/dispatch.h"

#include <array>
#include <cstdlib>

#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "base/error.h"

namespace winnow {
namespace cpu {
namespace {

struct InstructionSet {
  const char* name;
  bool (*usable)();
  const Ops& (*ops)();
};

// __builtin_cpu_supports also asks whether the operating system saves the registers. FMA and F16C have
// their own bits; the other sets of each line came with them in every processor.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
#if WINNOW_EMULATED_AVX512
bool has_avx512() { return has_avx2(); }
bool has_avx512bf16() { return has_avx2(); }
bool has_avx512amx() { return has_avx2(); }
#else
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512cd");
}
bool has_avx512bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

// Linux lets a process use the tile registers only after it has asked: they add 8 KiB to what a change of
// thread saves.
bool may_use_tiles() {
#ifdef __linux__
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}
bool has_avx512amx() {
  return has_avx512bf16() && __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
         may_use_tiles();
}
#endif

// Best first.
constexpr std::array<InstructionSet, 4> kSets = {{
    {"avx512amx", has_avx512amx, avx512amx_ops},
    {"avx512bf16", has_avx512bf16, avx512bf16_ops},
    {"avx512", has_avx512, avx512_ops},
    {"avx2", has_avx2, avx2_ops},
}};

constexpr const char* kUseReference = "device 'reference' runs on any processor, slowly";

std::string usable_text() {
  std::string text;
  for (const std::string& name : usable_instruction_sets()) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none of avx2, avx512, avx512bf16, avx512amx" : text;
}

}  // namespace

std::vector<std::string> usable_instruction_sets() {
  std::vector<std::string> names;
  for (const InstructionSet& set : kSets)
    if (set.usable()) names.emplace_back(set.name);
  return names;
}

const Ops& ops_of(std::string_view instruction_set) {
  for (const InstructionSet& set : kSets)
    if (instruction_set == set.name && set.usable()) return set.ops();
  throw Error("ERR_CPU_UNSUPPORTED", "this processor cannot run the requested instruction set", usable_text(),
              std::string(instruction_set), kUseReference);
}

}  // namespace cpu

const Ops& cpu_ops() {
  static const Ops& chosen = []() -> const Ops& {
    const char* wanted = std::getenv("WINNOW_CPU");
    if (wanted != nullptr && *wanted != '\0') return cpu::ops_of(wanted);
    const auto usable = cpu::usable_instruction_sets();
    WINNOW_CHECK(!usable.empty(), "ERR_CPU_UNSUPPORTED", "the cpu backend needs AVX2 and FMA", "avx2",
                 "a processor without it", cpu::kUseReference);
    return cpu::ops_of(usable.front());
  }();
  return chosen;
}

}  // namespace winnow
