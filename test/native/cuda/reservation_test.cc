// Device memory that is taken at once for a whole plan. Only where CUDA is emulated: there the calls of
// cudaMalloc are counted, and the device is as large as the test says.
#if WINNOW_EMULATE_CUDA
#include "cuda/empty_device.h"
#include "model/room.h"
#include "model/trainer_fixture.h"
#include "model/workspace.h"

namespace winnow::test {
namespace {

TEST("cuda/reservation/a plan is one slab, whatever the sizes are") {
  EmptyDevice device(64 * 1024 * kMiB);
  Random random("reservation");
  std::vector<size_t> sizes;
  size_t total = 0;
  for (int i = 0; i < 300; ++i) {  // from bytes to 256 MiB
    sizes.push_back(static_cast<size_t>(random.integer(1, int64_t{1} << random.integer(1, 29))));
    total += static_cast<size_t>(reserved_bytes(static_cast<int64_t>(sizes.back())));
  }
  const size_t before = emulated::allocations;
  EXPECT(device.reserve(total) == kOk && device.used() == 0, "reserved");
  std::vector<char*> parts;
  for (const size_t size : sizes) parts.push_back(device.take(size));
  EXPECT(emulated::allocations == before + 1, emulated::allocations - before, " calls of cudaMalloc");
  EXPECT(device.used() == total && device.held() - total < 2 * kMiB, device.held(), " for ", total);
  EXPECT(device.reserve(0) == kOk, "ended");
  for (char* part : parts) device.give(part);
  EXPECT(device.used() == 0 && device.held() == 0, device.held(), " bytes held after all was given back");
}

TEST("cuda/reservation/what cannot be had is refused, and nothing is kept of it") {
  EmptyDevice device(512 * kMiB);
  EXPECT(device.reserve(513 * kMiB) == kOutOfMemory && device.reserve(SIZE_MAX) == kOutOfMemory, "refused");
  EXPECT(device.held() == 0, device.held());
  EXPECT(device.reserve(512 * kMiB) == kOk, "all of it");
  char* all = device.take(512 * kMiB);
  EXPECT(device.refused(100 * kMiB), "full");
  device.give(all);
  EXPECT(device.reserve(0) == kOk && device.held() == 0, "all of it goes back: ", device.held());
}

TEST("cuda/reservation/what is more than the plan comes from elsewhere") {
  EmptyDevice device(1024 * kMiB);
  EXPECT(device.reserve(200 * kMiB) == kOk, "reserved");
  char *first = device.take(120 * kMiB), *second = device.take(120 * kMiB), *third = device.take(80 * kMiB);
  EXPECT(third == first + 120 * kMiB, "the third fits behind the first");
  EXPECT(device.held() == 320 * kMiB, device.held() / kMiB, " MiB");
  EXPECT(device.reserve(0) == kOk, "ended");
  for (char* part : {first, second, third}) device.give(part);
  EXPECT(device.held() == 0, device.held());
}

TEST("cuda/reservation/a second one ends the first, which goes back with what came from it") {
  EmptyDevice device(1024 * kMiB);
  EXPECT(device.reserve(300 * kMiB) == kOk && device.held() == 300 * kMiB, "reserved");
  EXPECT(device.reserve(200 * kMiB) == kOk && device.held() == 200 * kMiB,
         "nothing came from the first: ", device.held() / kMiB);
  char* old = device.take(150 * kMiB);
  EXPECT(device.reserve(100 * kMiB) == kOk && device.held() == 300 * kMiB, device.held() / kMiB);
  char *part = device.take(70 * kMiB), *small = device.take(20 * kMiB);
  EXPECT(device.held() == 300 * kMiB, "both from the one that is open: ", device.held() / kMiB);
  device.give(part);
  device.give(small);
  EXPECT(device.held() == 300 * kMiB, "it stays while it is open: ", device.held() / kMiB);
  part = device.take(90 * kMiB);
  EXPECT(device.held() == 300 * kMiB, "and serves again: ", device.held() / kMiB);
  EXPECT(device.reserve(0) == kOk && device.held() == 300 * kMiB, device.held() / kMiB);
  device.give(old);
  EXPECT(device.held() == 100 * kMiB, device.held() / kMiB);
  device.give(part);
  EXPECT(device.held() == 0, device.held());
}

TEST("cuda/reservation/the rest of one that has ended serves when nothing else is left") {
  EmptyDevice device(512 * kMiB);
  const size_t before = device.available();
  EXPECT(device.reserve(400 * kMiB) == kOk, "reserved");
  char* planned = device.take(100 * kMiB);
  EXPECT(device.reserve(0) == kOk, "ended");
  char* other = device.take(80 * kMiB);
  device.give(planned);
  EXPECT(device.held() == 80 * kMiB, "nothing else keeps it: ", device.held() / kMiB);
  device.give(other);
  EXPECT(device.reserve(400 * kMiB) == kOk, "again");
  planned = device.take(100 * kMiB);
  EXPECT(device.reserve(0) == kOk, "ended");
  EXPECT(device.available() == before - 100 * kMiB, device.available() / kMiB, " MiB can be had");
  for (const size_t size : {100, 200, 80}) device.take(size * kMiB);
  EXPECT(device.held() == 500 * kMiB, "100 from the device, the others of the rest: ", device.held() / kMiB);
  EXPECT(device.available() == before - 480 * kMiB, device.available() / kMiB, " MiB can be had");
}

size_t cuda_held() {
  require_cuda_ops();
  OpenDevice& open = open_device(0);
  return open.table->memory(open.device).held_bytes;
}

ModelConfig middling() {
  ModelConfig config;
  config.vocabulary = 4096;
  config.width = 512;
  config.feed_forward = 2048;
  config.layers = 6;
  config.heads = 8;
  config.kv_heads = 2;
  config.head_dim = 64;
  config.max_positions = 1024;
  return config;
}

TEST("cuda/reservation/weights, training and batches of a model are a slab each, and go back with it") {
  const size_t before = cuda_held();
  const emulated::DryRun dry(size_t{8} << 30);
  size_t scratch = 0;
  {
    ThreadPool pool(1);
    Context context{pool};
    Model model(context, cuda_ops(), middling(), DType::kBF16);
    model.initialise(3, 0.02f);
    size_t count = emulated::allocations;
    model.enable_training();
    EXPECT(emulated::allocations == count + 1, emulated::allocations - count, " calls to train");
    Random random("batches");
    TokenLists sequences;
    for (int i = 0; i < 3; ++i) sequences.add(random_tokens(random, 90 + 50 * i, 4096));
    LossOptions options = supervised();
    options.max_batch_tokens = 200;  // batches that differ, the largest not the first
    const std::vector<float> weights = unit_weights(sequences);
    accumulate(model, sequences, {weights, {}, {}, {}}, options);
    const size_t held = cuda_held();
    count = emulated::allocations;
    accumulate(model, sequences, {weights, {}, {}, {}}, options);
    EXPECT(emulated::allocations == count && cuda_held() == held, "the same batches take nothing more");
    const size_t working = static_cast<size_t>(model.workspace().working_bytes());
    sequences.add(random_tokens(random, 900, 4096));
    const std::vector<float> more = unit_weights(sequences);
    options.max_batch_tokens = 1000;
    count = emulated::allocations;
    accumulate(model, sequences, {more, {}, {}, {}}, options);
    // The batch's slab, and what the kernels' scratch and plan grow by.
    EXPECT(emulated::allocations - count <= 4, emulated::allocations - count, " calls for larger batches");
    const size_t grown = static_cast<size_t>(model.workspace().working_bytes());
    EXPECT(grown > 3 * working, grown, " from ", working);
    EXPECT(cuda_held() < held + (grown - working) + grown / 10 + 64 * kMiB,
           "the smaller slab went back: ", cuda_held() / kMiB, " from ", held / kMiB, " MiB for ",
           (grown - working) / kMiB, " more");
    OpenDevice& open = open_device(0);
    scratch = open.table->memory(open.device).used_bytes;
  }
  EXPECT(cuda_held() <= before + 3 * 64 * kMiB, "scratch of the library alone stays: ", cuda_held() / kMiB,
         " MiB from ", before / kMiB);
  EXPECT(scratch > 0, "something was used");
}

TEST("cuda/reservation/a plan is compared with the device's memory, not with the host's") {
  cuda_held();
  const emulated::DryRun dry(300 * kMiB);
  ThreadPool pool(1);
  Context context{pool};
  const Ops& ops = cuda_ops();
  const int64_t all = ops.available_bytes(context);
  EXPECT(all >= int64_t{300} << 20 && all < int64_t{500} << 20, all, " bytes of a device with 300 MiB");
  Model model(context, ops, middling(), DType::kBF16);
  model.initialise(3, 0.02f);
  try {
    model.enable_training();
    fail("it trains");
  } catch (const Error& error) {
    EXPECT(error.code == "ERR_MEMORY_PLAN", error.code);
    EXPECT(std::string(error.what()).find("on cuda:0") != std::string::npos, error.what());
    EXPECT(error.received.find("gradients ") != std::string::npos, error.received);
  }
  EXPECT(!model.trains(), "nothing was made");
  expect_error("ERR_OUT_OF_MEMORY", [&] { ops.reserve(context, size_t{1} << 40); });
}

TEST("cuda/reservation/what a device held when it failed is given up without a word") {
  ThreadPool pool(1);
  Context context{pool};
  const Ops& ops = cuda_ops();
  {
    auto reservation = std::make_unique<Reservation>(context, ops, 8 << 20);
    Buffer inside = allocate_buffer(context, ops, {1 << 20}),
           outside = allocate_buffer(context, ops, {32 << 20});
    const emulated::FailedDevice failed;
    const std::vector<float> values(16);
    expect_error("ERR_CUDA", [&] { ops.upload(context, inside.view().data, values.data(), 64); });
    reservation.reset();
    inside.reset();
    outside.reset();
  }
  EXPECT(ops.available_bytes(context) > 0, "the emulated device is well again");
}

}  // namespace
}  // namespace winnow::test
#endif
