// The arena that device memory comes from, by what it takes from the device. Only where CUDA is emulated:
// there nothing is touched, and the device is as large as the test says.
#if WINNOW_EMULATE_CUDA
#include <map>

#include "cuda/empty_device.h"

namespace winnow::test {
namespace {

TEST("cuda/arena/a model's equal tensors leave no gaps") {
  EmptyDevice device(64 * 1024 * kMiB);
  const size_t weight = size_t{896} * 4864 * 4;  // 16.6 MiB: three fill 50 MiB
  for (int i = 0; i < 90; ++i) device.take(weight);
  EXPECT(device.used() == 90 * weight, device.used());
  EXPECT(device.held() <= device.used() + device.used() / 50, device.held(), " for ", device.used());
}

TEST("cuda/arena/what is larger than a slab goes back to the device at once, whatever came after it") {
  EmptyDevice device(64 * 1024 * kMiB);
  // A buffer that grows, as those of a batch do, with small things allocated in between.
  char* buffer = device.take(100 * kMiB + 5);
  for (size_t size = 101; size < 120; ++size) {
    device.take(4096);
    device.give(buffer);
    buffer = device.take(size * kMiB + 5);
  }
  EXPECT(device.held() <= (120 + 2 + 64) * kMiB, device.held() / kMiB, " MiB held");
}

TEST("cuda/arena/parts do not overlap, are aligned, and all of it goes back") {
  EmptyDevice device(64 * 1024 * kMiB);
  Random random("arena");
  std::map<char*, size_t> parts;
  for (int step = 0; step < 3000; ++step) {
    if (parts.size() > 60 || (!parts.empty() && random.bits() % 2 == 0)) {
      auto chosen = parts.begin();
      std::advance(chosen, random.integer(0, static_cast<int64_t>(parts.size())));
      device.give(chosen->first);
      parts.erase(chosen);
      continue;
    }
    // From bytes to 128 MiB, as many of each magnitude.
    const auto size = static_cast<size_t>(random.integer(0, int64_t{1} << random.integer(1, 28)));
    char* data = device.take(size);
    EXPECT(reinterpret_cast<uintptr_t>(data) % 256 == 0, "aligned");
    const auto [place, added] = parts.emplace(data, size);
    EXPECT(added, "handed out twice");
    const auto after = std::next(place);
    EXPECT(after == parts.end() || data + size <= after->first, "the next begins behind it");
    EXPECT(place == parts.begin() || std::prev(place)->first + std::prev(place)->second <= data,
           "it begins behind the one before");
  }
  for (const auto& [data, size] : parts) device.give(data);
  EXPECT(device.used() == 0, device.used());
  EXPECT(device.held() == 0, device.held(), " bytes held after all was given back");
}

TEST("cuda/arena/a full device refuses, and goes on with what it has") {
  EmptyDevice device(512 * kMiB);
  char* large = device.take(300 * kMiB);
  EXPECT(device.refused(300 * kMiB) && device.refused(SIZE_MAX) && device.refused(SIZE_MAX / 2 - 1),
         "no room");
  int count = 0;
  while (!device.refused(20 * kMiB)) ++count;
  // Three in the slab that is there, three in each of three slabs of 60 MiB, one in what is left.
  EXPECT(count == 13, count, " parts of 20 MiB in the rest");
  device.give(large);
  device.take(250 * kMiB);
}

}  // namespace
}  // namespace winnow::test
#endif
