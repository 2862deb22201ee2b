#include "host/run/safetensors.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <bit>
#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "host/run/sha256.h"
#include "host/run/test_files.h"

namespace felbo {
namespace {

using testing_files::has;
using testing_files::in_child;
using testing_files::message_of;
using testing_files::read_bytes;
using testing_files::run_python;
using testing_files::TempFolder;
using testing_files::write_bytes;
using Names = std::vector<std::string>;
using Shape = std::vector<std::int64_t>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Values that a text format, a conversion or a lost sign would change.
const std::vector<float> kWeights = {1.0f,   -0.0f, kNan, std::numeric_limits<float>::denorm_min(),
                                     -1e38f, 0.1f};
const std::vector<float> kBias = {3.0f, -std::numeric_limits<float>::infinity()};
const std::vector<float> kScalar = {42.5f};

void write_example(const std::filesystem::path& path) {
  const std::vector<TensorToWrite> tensors = {{"z/weights", {2, 3}, kWeights},
                                              {"empty", {0, 7}, {}},
                                              {"bias", {2}, kBias},
                                              {"a scalar", {}, kScalar}};
  write_safetensors(path, tensors, {{"config", "latent = 20\n\"µ\""}, {"step", "1200"}});
}

/// Bit for bit, so that NaN and -0 count.
void expect_same_bits(std::span<const float> got, const std::vector<float>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(got[i]), std::bit_cast<std::uint32_t>(expected[i])) << i;
  }
}

/// CRC-32 by its definition, a bit at a time (reflected polynomial 0xEDB88320).
std::string crc32_by_definition(const std::string& bytes) {
  std::uint32_t sum = 0xffffffffu;
  for (const char byte : bytes) {
    sum ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? 0xEDB88320u : 0u);
  }
  return fmt::format("{:08x}", sum ^ 0xffffffffu);
}

/// A file of this header and data, with the true header length or another.
std::string file_bytes(const std::string& header, const std::string& data,
                       std::optional<std::uint64_t> length = std::nullopt) {
  const std::uint64_t stated = length.value_or(header.size());
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &stated, 8);
  return bytes + header + data;
}

std::string floats(std::size_t count) { return std::string(4 * count, '\0'); }

/// The refusal of a file that holds `bytes`; checks that the message names the file.
std::string refusal(const TempFolder& folder, const std::string& bytes) {
  const auto path = folder / "bad.safetensors";
  write_bytes(path, bytes);
  const std::string message = message_of<std::invalid_argument>([&] { SafetensorsFile file(path); });
  EXPECT_TRUE(message.starts_with(path.string() + ": ")) << message;
  return message;
}

TEST(SafetensorsTest, ReadsBackWhatWasWritten) {
  const TempFolder folder;
  write_example(folder / "file");
  const SafetensorsFile file(folder / "file");
  EXPECT_EQ(file.names(),
            (Names{"z/weights", "bias", "empty", "a scalar"}));  // empty starts where bias starts
  expect_same_bits(file.tensor("z/weights", {2, 3}), kWeights);
  expect_same_bits(file.tensor("empty", {0, 7}), {});
  expect_same_bits(file.tensor("bias", {2}), kBias);
  expect_same_bits(file.tensor("a scalar", {}), kScalar);
  EXPECT_EQ(file.shape("z/weights"), (Shape{2, 3}));
  EXPECT_TRUE(file.contains("bias"));
  EXPECT_FALSE(file.contains("__metadata__"));
  EXPECT_EQ(file.metadata(),
            (std::map<std::string, std::string>{{"config", "latent = 20\n\"µ\""}, {"step", "1200"}}));
  EXPECT_EQ(file.metadata("step"), "1200");
  EXPECT_EQ(folder.names(), Names{"file"});
}

TEST(SafetensorsTest, AFileWithoutTensorsIsAFile) {
  const TempFolder folder;
  write_safetensors(folder / "file", {}, {});
  const SafetensorsFile file(folder / "file");
  EXPECT_TRUE(file.names().empty());
  EXPECT_TRUE(file.metadata().empty());
}

TEST(SafetensorsTest, TheBytesAreTheFormats) {
  const TempFolder folder;
  write_example(folder / "file");
  const std::string bytes = read_bytes(folder / "file");
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  ASSERT_LE(8 + length, bytes.size());
  EXPECT_EQ(length % 8, 0u);
  const auto header = nlohmann::json::parse(bytes.substr(8, length));
  const std::string data = bytes.substr(8 + length);
  ASSERT_EQ(data.size(), 4u * 9);
  EXPECT_EQ(header["z/weights"],
            nlohmann::json::parse(R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24]})"));
  EXPECT_EQ(header["a scalar"],
            nlohmann::json::parse(R"({"dtype":"F32","shape":[],"data_offsets":[32,36]})"));
  EXPECT_EQ(header["__metadata__"]["sha256"], sha256(std::as_bytes(std::span(data))));
  nlohmann::json signed_part = header;
  signed_part["__metadata__"].erase("header_sha256");
  const std::string text = signed_part.dump();
  EXPECT_EQ(header["__metadata__"]["header_sha256"], sha256(std::as_bytes(std::span(text))));
  EXPECT_EQ(std::memcmp(data.data() + 24, kBias.data(), 8), 0);
}

// As earlier versions wrote it.
TEST(SafetensorsTest, AFileWithCrcsIsVerifiedByThem) {
  ASSERT_EQ(crc32_by_definition("123456789"), "cbf43926");  // the check value of CRC-32
  const TempFolder folder;
  nlohmann::json header = {{"t", {{"dtype", "F32"}, {"shape", {2}}, {"data_offsets", {0, 8}}}}};
  header["__metadata__"] = {{"crc32", crc32_by_definition("abcdefgh")}};
  header["__metadata__"]["header_crc32"] = crc32_by_definition(header.dump());
  write_bytes(folder / "file", file_bytes(header.dump(), "abcdefgh"));
  EXPECT_EQ(SafetensorsFile(folder / "file").tensor("t", {2}).size(), 2u);
  EXPECT_TRUE(SafetensorsFile(folder / "file").metadata().empty());
  write_bytes(folder / "file", file_bytes(header.dump(), "abcdefgi"));
  EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { SafetensorsFile(folder / "file"); }),
                  "the tensors are damaged"));
  header["t"]["shape"] = {2, 1};
  write_bytes(folder / "file", file_bytes(header.dump(), "abcdefgh"));
  EXPECT_TRUE(has(message_of<std::invalid_argument>([&] { SafetensorsFile(folder / "file"); }),
                  "the header is damaged"));
}

TEST(SafetensorsTest, ThePythonPackageReadsIt) {
  FELBO_NEEDS_PYTHON();
  const TempFolder folder;
  write_example(folder / "file");
  const std::string output = run_python(folder, R"(
import sys, numpy as np, safetensors, safetensors.numpy
tensors = safetensors.numpy.load_file(sys.argv[1])
for name in sorted(tensors):
    print(name, tensors[name].dtype, tensors[name].shape, tensors[name].tobytes().hex())
with safetensors.safe_open(sys.argv[1], framework="np") as f:
    metadata = f.metadata()
print(sorted(metadata), repr(metadata["config"]), metadata["step"])
)",
                                        {(folder / "file").string()});
  EXPECT_EQ(output,
            "a scalar float32 () 00002a42\n"
            "bias float32 (2,) 00004040000080ff\n"
            "empty float32 (0, 7) \n"
            "z/weights float32 (2, 3) 0000803f000000800000c07f01000000997696fecdcccc3d\n"
            "['config', 'header_sha256', 'sha256', 'step'] 'latent = 20\\n\"µ\"' 1200\n");
}

TEST(SafetensorsTest, ReadsFilesOfThePythonPackage) {
  FELBO_NEEDS_PYTHON();
  const TempFolder folder;
  run_python(folder, R"(
import sys, numpy as np, safetensors.numpy as st
w = np.arange(6, dtype=np.float32).reshape(3, 2)
st.save_file({"w": w, "a": np.float32([[7]])}, sys.argv[1] + "/plain")
st.save_file({"w": np.zeros(3, np.float32)}, sys.argv[1] + "/with_metadata", metadata={"format": "np"})
st.save_file({"h": np.zeros(3, np.float16)}, sys.argv[1] + "/half")
)",
             {folder.path().string()});
  const SafetensorsFile plain(folder / "plain");
  expect_same_bits(plain.tensor("w", {3, 2}), {0, 1, 2, 3, 4, 5});
  expect_same_bits(plain.tensor("a", {1, 1}), {7});
  EXPECT_TRUE(plain.metadata().empty());
  EXPECT_EQ(SafetensorsFile(folder / "with_metadata").metadata("format"), "np");
  const std::string message =
      message_of<std::invalid_argument>([&] { SafetensorsFile file(folder / "half"); });
  EXPECT_TRUE(has(message, "tensor 'h': its type is \"F16\", only \"F32\" is read; convert it to float32"));
}

TEST(SafetensorsTest, EveryFlippedBitIsFound) {
  const TempFolder folder;
  write_example(folder / "good");
  const std::string good = read_bytes(folder / "good");
  for (std::size_t i = 0; i < 8 * good.size(); ++i) {
    std::string bad = good;
    bad[i / 8] = static_cast<char>(bad[i / 8] ^ (1 << (i % 8)));
    ASSERT_FALSE(refusal(folder, bad).empty()) << "bit " << i % 8 << " of byte " << i / 8;
  }
}

TEST(SafetensorsTest, EveryTruncationIsFound) {
  const TempFolder folder;
  write_example(folder / "good");
  const std::string good = read_bytes(folder / "good");
  for (std::size_t size = 0; size < good.size(); ++size) {
    ASSERT_TRUE(has(refusal(folder, good.substr(0, size)), "the file is truncated")) << size << " bytes";
  }
  EXPECT_TRUE(has(refusal(folder, good + "x"), "1 bytes follow the last tensor, none were expected"));
}

TEST(SafetensorsTest, LengthsThatCannotBeAreRefusedBeforeAnyIsRead) {
  const TempFolder folder;
  EXPECT_TRUE(has(refusal(folder, "{}"), "it has 2 bytes, at least 8 were expected"));
  EXPECT_TRUE(
      has(refusal(folder, file_bytes("{}", "", 3)), "a header of 3 bytes was expected from byte 8 on, 2"));
  for (const std::uint64_t length : {std::uint64_t{100'000'001}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    EXPECT_TRUE(has(refusal(folder, file_bytes("{}", "", length)), "at most 100000000 are allowed"))
        << length;
  }
}

TEST(SafetensorsTest, HeadersThatBreakTheFormatAreRefused) {
  const TempFolder folder;
  struct Case {
    const char* header;
    const char* message;
  };
  const Case cases[] = {
      {"", "byte 8, where the header starts, is not '{'"},
      {"[]", "byte 8, where the header starts, is not '{'"},
      {" {}", "byte 8, where the header starts, is not '{'"},
      {"{", "not valid JSON at byte 10 of the file"},
      {"{} x", "not valid JSON at byte 12 of the file"},
      {"{\"a\xff\":1}", "not valid JSON"},
      {R"({"__metadata__":{"a":1e999}})", "not valid JSON"},
      {R"({"__metadata__":3})", "__metadata__ is not an object"},
      {R"({"__metadata__":{"step":3}})", "metadata entry 'step' is 3, a string was expected"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", "the header holds 'a' twice"},
      {R"({"__metadata__":{"crc32":"0"},"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "only one of the metadata entries"},
      {R"({"__metadata__":{"sha256":"0"},"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "only one of the metadata entries 'sha256'"},
      {R"({"__metadata__":{"a":{"b":{"c":1}}}})", "nested deeper"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "the header holds 't' twice"},
      {R"({"t":{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,8]}})",
       "the header holds 'shape' twice"},
      {R"({"t":7})", "tensor 't': expected an object of dtype, shape and data_offsets, got 7"},
      {R"({"t":{"dtype":"F32","shape":[2]}})", "expected an object of dtype, shape and data_offsets"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})",
       "expected an object of dtype, shape"},
      {R"({"t":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})",
       "its type is \"F64\", only \"F32\" is read"},
      {R"({"t":{"dtype":32,"shape":[2],"data_offsets":[0,8]}})", "its type is 32"},
      {R"({"t":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", "expected a list as its shape"},
      {R"({"t":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})",
       "whole numbers of 0 or more as its shape, got [-2]"},
      {R"({"t":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", "whole numbers of 0 or more"},
      {R"({"t":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}})", "whole numbers of 0 or more"},
      {R"({"t":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]}})",
       "whole numbers of 0 or more"},
      {R"({"t":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
       "[4294967296, 4294967296] overflows"},
      {R"({"t":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", "overflows"},
      {R"({"t":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
       "shape [3] takes 12 bytes, data_offsets give it 8"},
      {R"({"t":{"dtype":"F32","shape":[],"data_offsets":[0,8]}})",
       "shape [] takes 4 bytes, data_offsets give it 8"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})",
       "two ascending whole numbers as data_offsets"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}})",
       "two ascending whole numbers as data_offsets"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})",
       "two ascending whole numbers as data_offsets"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
       "the file is truncated: 16 bytes of tensors"},
      {R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "bytes 0 to 4 of the data, before tensor 't'"},
      {R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "4 bytes follow the last tensor"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("u":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "tensor 'u' overlaps the one before it (starts at byte 4, not 8)"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("u":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}})",
       "overlaps"},
  };
  for (const Case& c : cases) {
    const std::string message = refusal(folder, file_bytes(c.header, floats(2)));
    EXPECT_TRUE(has(message, c.message)) << c.header;
  }
  // The same frame around a valid header is accepted, so each refusal above is for its own reason.
  write_bytes(folder / "ok",
              file_bytes(R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  )", floats(2)));
  EXPECT_NO_THROW(SafetensorsFile(folder / "ok").tensor("t", {2}));
}

TEST(SafetensorsTest, ADeepHeaderIsRefusedWithoutRecursion) {
  const TempFolder folder;
  EXPECT_TRUE(
      has(refusal(folder, file_bytes(R"({"a":)" + std::string(1'000'000, '['), "")), "nested deeper"));
}

TEST(SafetensorsTest, AMessageQuotesOnlySomeOfALongHeader) {
  const TempFolder folder;
  const std::string header = "{\"a\":\"" + std::string(100'000, 'x') + "\"}";
  EXPECT_LT(refusal(folder, file_bytes(header, "")).size(), 1000u);
}

TEST(SafetensorsTest, WrongChecksumsAreNamed) {
  const TempFolder folder;
  write_example(folder / "good");
  const std::string good = read_bytes(folder / "good");
  std::string data_damage = good;
  data_damage.back() ^= 1;
  EXPECT_TRUE(has(refusal(folder, data_damage), "the tensors are damaged: their checksum is "));
  std::string header_damage = good;  // still valid in every other point: another step, another shape
  header_damage.replace(good.find("1200"), 4, "1300");
  EXPECT_TRUE(has(refusal(folder, header_damage), "the header is damaged: its checksum is "));
  header_damage = good;
  header_damage.replace(good.find("[2,3]"), 5, "[3,2]");
  EXPECT_TRUE(has(refusal(folder, header_damage), "the header is damaged"));
}

TEST(SafetensorsTest, AskingForAnotherTensorNamesTheDifference) {
  const TempFolder folder;
  write_example(folder / "file");
  const SafetensorsFile file(folder / "file");
  const auto message = [&](const std::string& name, const Shape& shape) {
    return message_of<std::invalid_argument>([&] { file.tensor(name, shape); });
  };
  EXPECT_TRUE(has(message("z/weights", {3, 2}), "tensor 'z/weights' has shape [2, 3], [3, 2] was expected"));
  EXPECT_TRUE(has(message("a scalar", {1}), "has shape [], [1] was expected"));
  EXPECT_TRUE(has(message("none", {1}), "there is no tensor 'none'; the file holds: z/weights, bias"));
  EXPECT_TRUE(
      has(message_of<std::invalid_argument>([&] { file.metadata("seed"); }), "entry 'seed' is missing"));
}

TEST(SafetensorsTest, FilesThatCannotBeReadAreRefused) {
  const TempFolder folder;
  const auto message = [&](const std::filesystem::path& path) {
    return message_of<std::invalid_argument>([&] { SafetensorsFile file(path); });
  };
  EXPECT_TRUE(has(message(folder / "absent"), "absent: cannot open the file: No such file or directory"));
  EXPECT_TRUE(has(message(folder.path()), "found a folder or a device"));
  EXPECT_TRUE(has(message("/dev/zero"), "found a folder or a device"));
}

TEST(SafetensorsTest, TensorsThatCannotBeStoredAreRefusedAndNothingIsWritten) {
  const TempFolder folder;
  const auto message = [&](const std::vector<TensorToWrite>& tensors,
                           const std::map<std::string, std::string>& metadata = {}) {
    return message_of<std::invalid_argument>([&] { write_safetensors(folder / "file", tensors, metadata); });
  };
  EXPECT_TRUE(has(message({{"b", {2}, kBias}, {"b", {2}, kBias}}), "two tensors are named 'b'"));
  EXPECT_TRUE(has(message({{"__metadata__", {2}, kBias}}), "this name cannot be used"));
  EXPECT_TRUE(has(message({{"", {2}, kBias}}), "this name cannot be used"));
  EXPECT_TRUE(has(message({{"b", {3}, kBias}}), "shape [3] does not fit its 2 values"));
  EXPECT_TRUE(has(message({{"b", {-1, -2}, kBias}}), "shape [-1, -2] has a negative extent"));
  EXPECT_TRUE(
      has(message({{"b", {std::int64_t{1} << 32, std::int64_t{1} << 32}, {}}}), "does not fit its 0 values"));
  EXPECT_TRUE(has(message({{"b\xff", {2}, kBias}}), "is not UTF-8"));
  EXPECT_TRUE(has(message({{"b", {2}, kBias}}, {{"k", "\xff"}}), "is not UTF-8"));
  for (const std::string entry : {"crc32", "header_crc32", "sha256", "header_sha256"}) {
    EXPECT_TRUE(
        has(message({{"b", {2}, kBias}}, {{entry, "1"}}), "'" + entry + "' is written by felbo itself"));
  }
  EXPECT_EQ(folder.names(), Names{});
}

TEST(SafetensorsTest, AFullDiskLeavesTheOldCheckpointWhole) {
  const TempFolder folder;
  write_example(folder / "file");
  const std::string before = read_bytes(folder / "file");
  const std::vector<float> large(100'000, 1.5f);
  // In the header, in the first tensor, one byte short of the end.
  std::vector<rlim_t> limits = {100, 4096};
  const std::vector<TensorToWrite> tensors = {{"t", {100'000}, large}};
  write_safetensors(folder / "whole", tensors, {});
  limits.push_back(std::filesystem::file_size(folder / "whole") - 1);
  std::filesystem::remove(folder / "whole");
  for (const rlim_t bytes : limits) {
    const std::string message = in_child([&] {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{bytes, bytes};
      if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return std::string("setrlimit failed");
      return message_of<std::runtime_error>([&] { write_safetensors(folder / "file", tensors, {}); });
    });
    EXPECT_TRUE(has(message, "File too large")) << bytes;
    EXPECT_TRUE(has(message, "The old file is untouched")) << bytes;
    EXPECT_EQ(read_bytes(folder / "file"), before) << bytes;
    EXPECT_EQ(folder.names(), Names{"file"}) << bytes;
  }
  expect_same_bits(SafetensorsFile(folder / "file").tensor("bias", {2}), kBias);
}

}  // namespace
}  // namespace felbo
