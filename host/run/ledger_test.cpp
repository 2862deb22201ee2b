#include "host/run/ledger.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "host/run/test_files.h"

namespace felbo {
namespace {

using testing_files::has;
using testing_files::message_of;

DataPart bytes_part(std::int64_t rows, std::int64_t cols, std::vector<std::uint8_t> values) {
  return {.rows = rows, .cols = cols, .bytes = std::move(values)};
}

DataSet set_of(float last) {
  DataSet set{.spec = "set", .train = {.rows = 2, .cols = 2, .floats = {0, 1, 2, last}}};
  set.test = DataPart{.rows = 1, .cols = 2, .floats = {5, 6}};
  return set;
}

RunConfig gaussian() {
  RunConfig config;
  config.likelihood = "gaussian";
  return config;
}

TEST(Fingerprint, IsThatOfTheRows) {
  const std::string whole = fingerprint(bytes_part(2, 3, {1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(whole.size(), 64u);
  EXPECT_EQ(fingerprint(bytes_part(2, 3, {1, 2, 3, 4, 5, 6})), whole);
  EXPECT_NE(fingerprint(bytes_part(2, 3, {1, 2, 3, 4, 5, 7})), whole);
  EXPECT_NE(fingerprint(bytes_part(3, 2, {1, 2, 3, 4, 5, 6})), whole);
  DataPart sparse{.rows = 1, .cols = 4, .sparse = CsrRows{{0, 1}, {2}, {3}}};
  const std::string of_sparse = fingerprint(sparse);
  sparse.sparse->column = {1};
  EXPECT_NE(fingerprint(sparse), of_sparse);
}

// Any byte of any piece counts, around the edges of the pieces.
TEST(Fingerprint, HasEveryPiece) {
  constexpr std::int64_t kSize = (std::int64_t{1} << 20) + 3;
  std::vector<std::uint8_t> values(static_cast<std::size_t>(kSize), 7);
  const std::string whole = fingerprint(bytes_part(1, kSize, values));
  for (const std::int64_t at :
       {std::int64_t{0}, (std::int64_t{1} << 20) - 1, std::int64_t{1} << 20, kSize - 1}) {
    std::vector<std::uint8_t> other = values;
    other[static_cast<std::size_t>(at)] = 8;
    EXPECT_NE(fingerprint(bytes_part(1, kSize, other)), whole) << at;
  }
}

TEST(Ledger, SaysWhatFiguresRestOn) {
  const nlohmann::json json = nlohmann::json::parse(make_ledger(gaussian(), set_of(3), {"cpu (2 threads)"}));
  EXPECT_EQ(json["units"]["figures"], "nats a datum");
  EXPECT_EQ(json["likelihood"]["kind"], "density of x");
  EXPECT_EQ(json["data"]["train"]["rows"], 2);
  EXPECT_EQ(json["data"]["test"]["sha256"], fingerprint(*set_of(3).test));
  EXPECT_EQ(json["seed"], 0);
  EXPECT_EQ(json["precision"]["training"], "fp32");
  for (const char* key : {"binarize", "device", "felbo", "libraries"}) EXPECT_TRUE(json.contains(key)) << key;
}

TEST(Ledger, NamesThePartThatDiffers) {
  const std::string ledger = make_ledger(gaussian(), set_of(3), {"cpu"});
  EXPECT_TRUE(data_differences(ledger, gaussian(), set_of(3)).empty());
  const auto other = data_differences(ledger, gaussian(), set_of(4));
  ASSERT_EQ(other.size(), 1u);
  EXPECT_TRUE(has(other[0], "the train part holds 2 rows with SHA-256"));
  DataSet without = set_of(3);
  without.test.reset();
  EXPECT_TRUE(has(data_differences(ledger, gaussian(), without).at(0), "the test part is missing"));
  EXPECT_TRUE(data_differences("", gaussian(), set_of(4)).empty());
  EXPECT_TRUE(has(message_of<std::invalid_argument>([] { data_differences("{", gaussian(), set_of(3)); }),
                  "ledger is not JSON"));
}

TEST(Ledger, NamesAnotherUnitOfADensity) {
  DataSet bytes{.spec = "set", .train = bytes_part(2, 2, {0, 51, 102, 255})};
  const std::string ledger = make_ledger(gaussian(), bytes, {"cpu"});
  DataSet floats{.spec = "set", .train = {.rows = 2, .cols = 2, .floats = {0, 51, 102, 255}}};
  const auto found = data_differences(ledger, gaussian(), floats);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_TRUE(has(found[0], "another unit: x is value, it was byte / 255"));
  RunConfig poisson;
  poisson.likelihood = "poisson";
  EXPECT_EQ(data_differences(ledger, poisson, floats).size(), 1u);  // probabilities have no unit
}

TEST(Ledger, NamesAnotherMachine) {
  const std::string ledger = make_ledger(gaussian(), set_of(3), {"cpu (2 threads)"});
  EXPECT_TRUE(machine_differences(ledger, {"cpu (7 threads)"}).empty());  // bits do not depend on that
  const auto found = machine_differences(ledger, {"cuda:0 (NVIDIA H200)", {{"cuda_driver", "13.0"}}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(has(found[0], "device is cuda:0 (NVIDIA H200), it was cpu"));
}

TEST(Ledger, NamesAnotherDriver) {
  const auto on = [](const char* driver, const char* runtime) {
    return RunMachine{"cuda:0 (NVIDIA H200)", {{"cuda_driver", driver}, {"cuda_runtime", runtime}}};
  };
  const std::string ledger = make_ledger(gaussian(), set_of(3), on("12.4", "12.2"));
  const nlohmann::json libraries = nlohmann::json::parse(ledger)["libraries"];
  EXPECT_EQ(libraries["cuda_driver"], "12.4");
  EXPECT_EQ(libraries["cuda_runtime"], "12.2");
  EXPECT_TRUE(libraries.contains("onednn"));
  EXPECT_TRUE(machine_differences(ledger, on("12.4", "12.2")).empty());
  EXPECT_EQ(machine_differences(ledger, on("13.0", "12.2")),
            std::vector<std::string>{"cuda_driver is 13.0, it was 12.4"});
  EXPECT_EQ(machine_differences(ledger, on("12.4", "12.6")),
            std::vector<std::string>{"cuda_runtime is 12.6, it was 12.2"});
  // A ledger that knew no drivers.
  const std::string old = make_ledger(gaussian(), set_of(3), {"cuda:0 (NVIDIA H200)"});
  EXPECT_TRUE(machine_differences(old, on("12.4", "12.2")).empty());
}

}  // namespace
}  // namespace felbo
