#include <cstring>
#include <fstream>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "harness.h"
#include "io/header_files.h"
#include "io/safetensors.h"

namespace winnow::test {
namespace {

// Made by Python's safetensors; see test/fixtures/safetensors/make.py. CTest runs at the repository's root.
std::string fixture() { return "test/fixtures/safetensors/mixed.safetensors"; }

SafetensorsReader read(const TemporaryFolder& folder, const std::string& header, size_t data_bytes) {
  write_bytes(folder.file("x.safetensors"), safetensors_bytes(header, data_bytes));
  return SafetensorsReader({folder.file("x.safetensors")});
}

std::string refused(const std::string& header, size_t data_bytes) {
  const TemporaryFolder folder;
  return expect_error("ERR_FILE_FORMAT", [&] { read(folder, header, data_bytes); });
}

TEST("io/safetensors/reads what Python wrote") {
  const SafetensorsReader reader({fixture()});
  const View matrix = reader.tensor("matrix.f32");
  EXPECT(matrix.dtype == DType::kF32 && matrix.rank == 2 && matrix.shape[0] == 3 && matrix.shape[1] == 4,
         "shape");
  for (int i = 0; i < 12; ++i) EXPECT(matrix.f32()[i] == static_cast<float>(i) / 8 - 0.5f, i);
  const View narrow = reader.tensor("matrix.bf16");
  EXPECT(narrow.dtype == DType::kBF16 && narrow.size() == 10, "bf16 shape");
  for (int i = 0; i < 10; ++i)
    EXPECT(narrow.as<bf16>()[i] == f32_to_bf16(static_cast<float>(i) / 3), "bf16 element ", i);
  const View half = reader.tensor("matrix.f16");
  EXPECT(half.dtype == DType::kF16, "f16");
  EXPECT(std::abs(f16_to_f32(half.as<f16>()[5]) - 5.0f / 7) < 1e-3f, "f16 element");
  EXPECT(reader.tensor("tokens").i32()[1] == -1, "i32");
  EXPECT(reader.tensor("scalar").size() == 1 && reader.tensor("scalar").f32()[0] == 2.5f, "scalar");
  EXPECT(reader.tensor("empty").size() == 0 && reader.tensor("empty").shape[1] == 4, "empty");
  EXPECT(reader.tensor("na\u00efve \u6a21\u578b \U0001f916 \"quoted\" back\\slash").f32()[0] == 1.25f,
         "odd name");
  EXPECT(reader.metadata().at("note") == "h\u00e9", "metadata");
  EXPECT(reader.names().size() == 9, reader.names().size());
}

TEST("io/safetensors/formats the engine has no use for are refused by tensor, not by file") {
  const SafetensorsReader reader({fixture()});
  EXPECT(reader.contains("position_ids") && reader.contains("flags"), "listed");
  expect_error("ERR_FILE_FORMAT", [&] { reader.tensor("position_ids"); });
  expect_error("ERR_FILE_FORMAT", [&] { reader.tensor("flags"); });
}

TEST("io/safetensors/a missing tensor names the nearest") {
  const SafetensorsReader reader({fixture()});
  try {
    reader.tensor("matrix.f33");
  } catch (const Error& error) {
    EXPECT(error.code == "ERR_TENSOR_MISSING" && error.hint.find("matrix.f32") != std::string::npos,
           error.hint);
    return;
  }
  fail("no error");
}

TEST("io/safetensors/a tensor off its alignment is still read") {
  const TemporaryFolder folder;
  const std::string header =
      R"({"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"F32","shape":[2],"data_offsets":[2,10]}})";
  std::string bytes = safetensors_bytes(header, 0);
  const float values[] = {1.5f, -2.25f};
  bytes += std::string(2, '\0') + std::string(reinterpret_cast<const char*>(values), sizeof values);
  write_bytes(folder.file("x"), bytes);
  const SafetensorsReader reader({folder.file("x")});
  const View b = reader.tensor("b");
  EXPECT(reinterpret_cast<uintptr_t>(b.data) % 4 == 0, "aligned");
  EXPECT(b.f32()[0] == 1.5f && b.f32()[1] == -2.25f, "values");
}

TEST("io/safetensors/a tensor that is let go takes no memory, and is read again") {
  const TemporaryFolder folder;
  const int64_t floats = int64_t{4} << 20;
  std::string header = R"({"large":{"dtype":"F32","shape":[4194304],"data_offsets":[0,16777216]}})";
  header.append((8 - header.size() % 8) % 8, ' ');  // what is off its alignment is copied
  const std::vector<float> ones(static_cast<size_t>(floats), 1);
  write_bytes(folder.file("w"), safetensors_bytes(header, 0) +
                                    std::string(reinterpret_cast<const char*>(ones.data()), 16777216));
  const SafetensorsReader reader({folder.file("w")});
  const View large = reader.tensor("large");
  const auto sum = [&] { return std::accumulate(large.f32(), large.f32() + floats, 0.0f); };
  const auto resident = [] {
    std::ifstream file("/proc/self/statm");
    int64_t all = 0, pages = 0;
    file >> all >> pages;
    return pages * sysconf(_SC_PAGESIZE);
  };
  EXPECT(sum() == 4194304, "ones");
  const int64_t before = resident();
  reader.let_go(large);
  EXPECT(resident() <= before - 3 * floats, "resident: ", before, " before, ", resident(), " after");
  EXPECT(sum() == 4194304 && resident() > before - floats, "read again");
  float elsewhere[4096] = {1};
  reader.let_go(View(elsewhere, DType::kF32, {4096}));
  EXPECT(elsewhere[0] == 1, "what is no part of a file stays");
}

TEST("io/safetensors/order in the header is free, positions are not") {
  const TemporaryFolder folder;
  const SafetensorsReader reader = read(
      folder,
      R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  )",
      8);
  EXPECT(reader.names().size() == 2, "both");
}

TEST("io/safetensors/hostile ranges") {
  // overlap, hole, past the end, backwards, data nobody owns, wrong size for the shape
  refused(
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
      12);
  refused(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
      12);
  refused(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 12);
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4);
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8);
  refused(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8);
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8);
}

TEST("io/safetensors/hostile numbers") {
  refused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0);
  refused(R"({"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,0]}})", 0);
  refused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4);
  refused(R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4);
  refused(R"({"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}})", 4);
  refused(R"({"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}})", 4);
  refused(R"({"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}})", 1);
  refused(R"({"a":{"dtype":"F32","shape":[0,18446744073709551615,8],"data_offsets":[0,4]}})", 4);
}

TEST("io/safetensors/hostile grammar") {
  refused("", 0);
  refused("[]", 0);
  refused(" {}", 0);
  refused("{}x", 0);
  refused("{", 0);
  refused(R"({"a")", 0);
  refused(R"({"a":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}})", 4);  // case matters
  refused(R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4);
  refused(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4);
  refused(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":1}})", 4);
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 4);
  refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},})", 4);
  refused(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}})",
      4);
  refused(R"({"__metadata__":{"k":1}})", 0);
  refused(R"({"__metadata__":{"k":"1","k":"2"}})", 0);
  refused(R"({"__metadata__":{},"__metadata__":{}})", 0);
  refused("{\"a\n\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4);
  refused(R"({"\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
  refused(R"({"\x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
  refused("{\"a\":" + std::string(1'000'000, '[') + "}", 0);
  refused(std::string(1'000'000, '{'), 0);
}

TEST("io/safetensors/hostile UTF-8") {
  for (const char* bad : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"})
    refused(std::string("{\"") + bad + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
}

TEST("io/safetensors/hostile lengths") {
  const TemporaryFolder folder;
  for (const uint64_t length : {uint64_t{1} << 63, ~uint64_t{0}, uint64_t{100'000'001}, uint64_t{3}}) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &length, 8);
    write_bytes(folder.file("x"), bytes + "{}");
    expect_error("ERR_FILE_FORMAT", [&] { SafetensorsReader({folder.file("x")}); });
  }
  for (const size_t size : {0, 1, 7}) {
    write_bytes(folder.file("x"), std::string(size, '\0'));
    expect_error("ERR_FILE_FORMAT", [&] { SafetensorsReader({folder.file("x")}); });
  }
}

TEST("io/safetensors/every truncation of a real file is refused") {
  const TemporaryFolder folder;
  const std::string whole = read_bytes(fixture());
  EXPECT(whole.size() > 100, "fixture");
  for (size_t size = 0; size < whole.size(); ++size) {
    write_bytes(folder.file("x"), whole.substr(0, size));
    expect_error("ERR_FILE_FORMAT", [&] { SafetensorsReader({folder.file("x")}); });
  }
}

TEST("io/safetensors/shards: one name may be in one file only") {
  const TemporaryFolder folder;
  const std::string bytes = safetensors_bytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4);
  write_bytes(folder.file("1"), bytes);
  write_bytes(folder.file("2"), bytes);
  expect_error("ERR_FILE_FORMAT", [&] { SafetensorsReader({folder.file("1"), folder.file("2")}); });
  EXPECT(SafetensorsReader({folder.file("1"), fixture()}).names().size() == 10, "two shards");
}

TEST("io/safetensors/what is no file is an error, not a hang") {
  const TemporaryFolder folder;
  expect_error("ERR_FILE_OPEN", [&] { SafetensorsReader({folder.file("absent")}); });
  expect_error("ERR_FILE_OPEN", [&] { SafetensorsReader({folder.path().string()}); });
  EXPECT(std::system(("mkfifo " + folder.file("fifo")).c_str()) == 0, "mkfifo");
  expect_error("ERR_FILE_OPEN", [&] { SafetensorsReader({folder.file("fifo")}); });
}

// Changes bytes of a good header at random: each mutant is either read or refused with the right code,
// and whatever is read lies inside the file (the sanitizers watch).
TEST("io/safetensors/thousands of mutated headers") {
  const TemporaryFolder folder;
  const std::string whole = read_bytes(fixture());
  const size_t header_end =
      8 + static_cast<unsigned char>(whole[0]) + 256 * static_cast<unsigned char>(whole[1]);
  Random random("safetensors fuzz");
  const std::string alphabet = "{}[]\",:0123456789-.eEF\\u/ \t\n\x80\xff" + std::string(1, '\0');
  int accepted = 0, refused_count = 0;
  double sum = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = whole;
    for (int64_t change = random.integer(1, 4); change > 0; --change) {
      const size_t at = static_cast<size_t>(random.integer(0, static_cast<int64_t>(header_end)));
      const char symbol =
          alphabet[static_cast<size_t>(random.integer(0, static_cast<int64_t>(alphabet.size())))];
      switch (random.integer(0, 4)) {
        case 0:
          bytes[at] = symbol;
          break;
        case 1:
          bytes.erase(at, 1);
          break;
        case 2:
          bytes.insert(at, 1, symbol);
          break;
        default:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.integer(0, 8)));
          break;
      }
    }
    write_bytes(folder.file("x"), bytes);
    try {
      const SafetensorsReader reader({folder.file("x")});
      ++accepted;
      for (const std::string& name : reader.names()) {
        try {
          const View view = reader.tensor(name);
          for (size_t i = 0; i < view.size_bytes(); ++i) sum += view.as<unsigned char>()[i];
        } catch (const Error& error) {
          EXPECT(error.code == "ERR_FILE_FORMAT", error.code);
        }
      }
    } catch (const Error& error) {
      EXPECT(error.code == "ERR_FILE_FORMAT", error.code);
      ++refused_count;
    }
  }
  EXPECT(accepted > 50 && refused_count > 1000, accepted, " accepted, ", refused_count, " refused, sum ",
         sum);
}

}  // namespace
}  // namespace winnow::test
