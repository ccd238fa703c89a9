// Fibers and collectives behind emulated_cuda.h.
#include "emulated_cuda.h"

#if WINNOW_EMULATE_CUDA

#include <sys/mman.h>

#include <cstdio>
#include <vector>

#include "base/dtype.h"

// Saves the registers that a call keeps and the stack of the caller, and continues on another stack.
extern "C" void winnow_emulated_switch(void** save, void* load);
asm(R"(
.text
.globl winnow_emulated_switch
.type winnow_emulated_switch, @function
winnow_emulated_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size winnow_emulated_switch, .-winnow_emulated_switch
)");

namespace winnow::emulated {

Thread* current = nullptr;
dim3 block_extent, grid_extent;
uint3 block_index;

namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr unsigned kMostThreads = 1024, kWarp = 32;
constexpr size_t kSharedBytes = 48 << 10;  // what every device gives without asking

struct Fiber : Thread {
  void* stack_pointer = nullptr;
  std::byte* stack = nullptr;
  const uint64_t* waits_for = nullptr;  // runs again when this is no longer `generation`
  uint64_t generation = 0;
  size_t shared_used = 0;
  bool done = false;
};

struct Group {  // of threads that meet
  unsigned arrived = 0, expected = 0;
  uint64_t generation = 0;
  int any = 0, any_result = 0;
  uint32_t words[2]
                [kWarp * kMostWords];  // by parity, so that a fast lane cannot overwrite what is being read
};

Fiber fibers[kMostThreads];
Group block_group, warp_groups[kMostThreads / kWarp];
void* scheduler_stack = nullptr;
Body running_body = nullptr;
const void* running_closure = nullptr;
alignas(128) std::byte shared_memory[kSharedBytes];
size_t shared_high = kSharedBytes;

Fiber& self() { return *static_cast<Fiber*>(current); }

[[noreturn]] void stop(const char* what) {
  std::fprintf(stderr, "emulated CUDA: %s (block %u %u, thread %u)\n", what, block_index.x, block_index.y,
               current ? current->linear : 0);
  std::abort();
}

void enter() {
  running_body(running_closure);
  self().done = true;
  winnow_emulated_switch(&self().stack_pointer, scheduler_stack);
  stop("a finished thread ran again");
}

// A thread has a stack from its first step to its end: threads that never wait use one after the other.
std::vector<std::byte*>& free_stacks() {
  static std::vector<std::byte*> all;
  return all;
}

std::byte* take_stack() {
  if (!free_stacks().empty()) {
    std::byte* stack = free_stacks().back();
    free_stacks().pop_back();
    return stack;
  }
  static size_t made = 0;
  void* mapped = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return static_cast<std::byte*>(mapped) - made++ % 61 * 64;  // not all in the same lines of the cache
}

void begin(Fiber& fiber) {
  fiber.stack = take_stack();
  auto* top = reinterpret_cast<void**>(fiber.stack + kStackBytes - 64);
  *--top = nullptr;  // keeps the stack as a call would leave it
  *--top = reinterpret_cast<void*>(enter);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  fiber.stack_pointer = top;
}

void arrive(Group& group) {
  const uint64_t generation = group.generation;
  if (++group.arrived == group.expected) {
    group.arrived = 0;
    group.any_result = group.any;
    group.any = 0;
    ++group.generation;
    return;
  }
  self().waits_for = &group.generation;
  self().generation = generation;
  winnow_emulated_switch(&self().stack_pointer, scheduler_stack);
}

void run_block(unsigned threads, bool downwards) {
  std::memset(shared_memory, 0xff, shared_high);  // NaN as f32 and as f64
  shared_high = 0;
  block_group.expected = threads;
  for (unsigned warp = 0; warp * kWarp < threads; ++warp)
    warp_groups[warp].expected = threads - warp * kWarp < kWarp ? threads - warp * kWarp : kWarp;
  for (unsigned i = 0; i < threads; ++i) {
    fibers[i].index = {i, 0, 0};
    fibers[i].linear = i;
    fibers[i].stack = nullptr;
    fibers[i].waits_for = nullptr;
    fibers[i].shared_used = 0;
    fibers[i].done = false;
  }
  for (unsigned left = threads; left > 0;) {
    bool progress = false;
    for (unsigned i = 0; i < threads; ++i) {
      Fiber& fiber = fibers[downwards ? threads - 1 - i : i];
      if (fiber.done || (fiber.waits_for && *fiber.waits_for == fiber.generation)) continue;
      fiber.waits_for = nullptr;
      current = &fiber;
      if (!fiber.stack) begin(fiber);
      winnow_emulated_switch(&scheduler_stack, fiber.stack_pointer);
      if (fiber.done) free_stacks().push_back(fiber.stack);
      left -= fiber.done;
      progress = true;
    }
    if (!progress) stop("some threads wait for others that have ended or wait elsewhere");
  }
  current = nullptr;
}

}  // namespace

void barrier() { arrive(block_group); }

int barrier_or(int predicate) {
  block_group.any |= predicate != 0;
  arrive(block_group);
  return block_group.any_result;
}

const uint32_t* exchange(const uint32_t* words, int count) {
  Group& warp = warp_groups[current->linear / kWarp];
  uint32_t* all = warp.words[warp.generation % 2];
  for (int i = 0; i < count; ++i)
    all[current->linear % kWarp * kMostWords + static_cast<unsigned>(i)] = words[i];
  arrive(warp);
  return all;
}

void* shared(size_t size_bytes) {
  const size_t begin = self().shared_used;
  self().shared_used += (size_bytes + 15) / 16 * 16;
  if (self().shared_used > kSharedBytes) stop("more shared memory than a block has");
  if (shared_high < self().shared_used) shared_high = self().shared_used;
  return shared_memory + begin;
}

void launch(dim3 grid, unsigned threads, Body body, const void* closure) {
  static unsigned launches = 0;
  if (dry) return;
  const DeviceAccess access;
  ++launches;
  if (threads == 0 || threads > kMostThreads || grid.x == 0 || grid.y == 0 || grid.y > 65535 || grid.z != 1)
    stop("a launch outside the limits");
  running_body = body;
  running_closure = closure;
  grid_extent = grid;
  block_extent = dim3(threads);
  for (block_index = {0, 0, 0}; block_index.y < grid.y; ++block_index.y)
    for (block_index.x = 0; block_index.x < grid.x; ++block_index.x) run_block(threads, launches % 2 == 0);
}

}  // namespace winnow::emulated

void winnow_emulated_mma(float* d, const uint32_t* a, const uint32_t* b) {
  using winnow::emulated::kMostWords;
  const uint32_t words[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const uint32_t* all = winnow::emulated::exchange(words, 6);
  const unsigned lane = winnow::emulated::current->linear % 32, g = lane / 4, t = lane % 4;
  const auto half = [](uint32_t word, unsigned high) {
    return winnow::bf16_to_f32(static_cast<uint16_t>(word >> (high ? 16 : 0)));
  };
  const auto a_at = [&](unsigned row, unsigned k) {
    const unsigned holder = row % 8 * 4 + k % 8 / 2, word = row / 8 + 2 * (k / 8);
    return half(all[holder * kMostWords + word], k % 2);
  };
  const auto b_at = [&](unsigned k, unsigned column) {
    return half(all[(column * 4 + k % 8 / 2) * kMostWords + 4 + k / 8], k % 2);
  };
  for (unsigned i = 0; i < 4; ++i)
    for (unsigned k = 0; k < 16; ++k) d[i] += a_at(g + i / 2 * 8, k) * b_at(k, 2 * t + i % 2);
}

#endif
