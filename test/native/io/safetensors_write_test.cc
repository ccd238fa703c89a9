#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "harness.h"
#include "io/header_files.h"
#include "io/safetensors.h"

namespace winnow::test {
namespace {

TensorToWrite tensor(const std::string& name, DType dtype, std::vector<int64_t> shape, View source) {
  return {name, dtype, std::move(shape), source};
}

TEST("io/safetensors/a round trip keeps every bit") {
  const TemporaryFolder folder;
  std::vector<float> values = {0.0f,   -0.0f,  1.0f / 3, std::numeric_limits<float>::infinity(),
                               1e-45f, 3.4e38f};
  std::vector<bf16> narrow = {0x3f80, 0x7fc1, 0x8000};
  const std::vector<TensorToWrite> tensors = {
      tensor("narrow", DType::kBF16, {3}, View(narrow.data(), DType::kBF16, {3})),
      tensor("wide \"x\" \\ \u00e9\n", DType::kF32, {2, 3}, View(values.data(), DType::kF32, {2, 3})),
      tensor("none", DType::kF32, {0, 7}, View(values.data(), DType::kF32, {0, 7})),
  };
  write_safetensors(folder.file("x"), tensors, {{"format", "pt"}, {"step", "12"}});
  const SafetensorsReader reader({folder.file("x")});
  const View wide = reader.tensor("wide \"x\" \\ \u00e9\n");
  EXPECT(wide.rank == 2 && wide.shape[1] == 3, "shape");
  EXPECT(std::memcmp(wide.data, values.data(), 24) == 0, "f32 bits");
  EXPECT(std::memcmp(reader.tensor("narrow").data, narrow.data(), 6) == 0, "bf16 bits");
  EXPECT(reader.tensor("none").shape[1] == 7, "empty");
  EXPECT(reader.metadata().at("step") == "12" && reader.metadata().size() == 2, "metadata");
  EXPECT(!std::filesystem::exists(folder.file("x.partial")), "partial file");
}

TEST("io/safetensors/conversion while writing rounds to nearest even") {
  const TemporaryFolder folder;
  std::vector<float> values(300'000);  // more than one buffer
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 7 - 1000;
  const View source(values.data(), DType::kF32, {300'000});
  const std::vector<TensorToWrite> tensors = {tensor("x", DType::kBF16, {300, 1000}, source)};
  write_safetensors(folder.file("x"), tensors, {});
  const SafetensorsReader reader({folder.file("x")});
  const View written = reader.tensor("x");
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT(written.as<bf16>()[i] == f32_to_bf16(values[i]), "element ", i);

  const std::vector<TensorToWrite> widened = {
      tensor("y", DType::kF32, {300'000}, View(written.data, DType::kBF16, {300'000}))};
  write_safetensors(folder.file("y"), widened, {});
  const SafetensorsReader again({folder.file("y")});
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT(again.tensor("y").f32()[i] == round_to_bf16(values[i]), "widened element ", i);
}

TEST("io/safetensors/data begins at a multiple of eight bytes and tensors at their element size") {
  const TemporaryFolder folder;
  std::vector<float> values(3);
  std::vector<bf16> narrow(3);
  const std::vector<TensorToWrite> tensors = {
      tensor("a", DType::kBF16, {3}, View(narrow.data(), DType::kBF16, {3})),
      tensor("b", DType::kF32, {3}, View(values.data(), DType::kF32, {3})),
  };
  write_safetensors(folder.file("x"), tensors, {});
  const std::string bytes = read_bytes(folder.file("x"));
  EXPECT(static_cast<unsigned char>(bytes[0]) % 8 == 0, "header length");
  EXPECT(bytes.find("\"b\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}") != std::string::npos,
         bytes);
}

TEST("io/safetensors/what cannot be written is refused before the file is touched") {
  const TemporaryFolder folder;
  float value = 1;
  const View one(&value, DType::kF32, {1});
  const auto refuse = [&](const std::vector<TensorToWrite>& tensors) {
    expect_error("ERR_ARGUMENT", [&] { write_safetensors(folder.file("x"), tensors, {}); });
    EXPECT(std::filesystem::is_empty(folder.path()), "nothing written");
  };
  refuse({tensor("a", DType::kF32, {2}, one)});
  refuse({tensor("a", DType::kF32, {1}, one), tensor("a", DType::kF32, {1}, one)});
  refuse({tensor("__metadata__", DType::kF32, {1}, one)});
  refuse({tensor("a", DType::kF16, {1}, one)});
  refuse({tensor("a", DType::kI32, {1}, one)});
  refuse({tensor("\xff", DType::kF32, {1}, one)});
  refuse({tensor("a", DType::kF32, {-1}, one)});
}

TEST("io/safetensors/a failed write leaves the old file and no partial one") {
  const TemporaryFolder folder;
  std::vector<float> values(1 << 16, 1.0f);
  const std::vector<TensorToWrite> small = {
      tensor("a", DType::kF32, {1}, View(values.data(), DType::kF32, {1}))};
  write_safetensors(folder.file("x"), small, {});
  const std::string before = read_bytes(folder.file("x"));

  // A limit on file sizes stands for a full disk: writes fail in the middle.
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = old;
  tight.rlim_cur = 100'000;
  setrlimit(RLIMIT_FSIZE, &tight);
  const std::vector<TensorToWrite> large = {
      tensor("a", DType::kF32, {1 << 16}, View(values.data(), DType::kF32, {1 << 16}))};
  const auto restore = [&] {
    setrlimit(RLIMIT_FSIZE, &old);
    std::signal(SIGXFSZ, old_handler);
  };
  try {
    expect_error("ERR_FILE_WRITE", [&] { write_safetensors(folder.file("x"), large, {}); });
  } catch (...) {
    restore();
    throw;
  }
  restore();
  EXPECT(read_bytes(folder.file("x")) == before, "old file untouched");
  EXPECT(!std::filesystem::exists(folder.file("x.partial")), "no partial file");

  expect_error("ERR_FILE_WRITE", [&] { write_safetensors(folder.file("absent/x"), small, {}); });
  expect_error("ERR_FILE_WRITE", [&] { write_safetensors("/proc/winnow-cannot-write-here", small, {}); });
  std::filesystem::create_directory(folder.file("folder"));
  expect_error("ERR_FILE_WRITE", [&] { write_safetensors(folder.file("folder"), small, {}); });
  EXPECT(!std::filesystem::exists(folder.file("folder.partial")), "no partial file beside a folder");
}

}  // namespace
}  // namespace winnow::test
