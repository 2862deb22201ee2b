// A data set of counts gives the same figures, bit for bit, as dense array and as sparse rows.
#include <zip.h>

#include <cmath>

#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// Counts of `rows` rows, most of them 0, as a dense .npy and as an .npz of sparse rows.
struct Counts {
  static constexpr int kRows = 240, kCols = 30;
  std::vector<float> dense, value;
  std::vector<std::int32_t> begin{0}, column;

  Counts() {
    const std::string random = random_bytes(kRows * kCols);
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < kCols; ++j) {
        const auto byte = static_cast<unsigned char>(random[static_cast<std::size_t>(i * kCols + j)]);
        const bool often = (j + i) % 3 == 0;
        dense.push_back(byte % (often ? 3 : 12) == 0 ? static_cast<float>(1 + byte % 7) : 0.0f);
        if (dense.back() == 0.0f) continue;
        column.push_back(j);
        value.push_back(dense.back());
      }
      begin.push_back(static_cast<std::int32_t>(column.size()));
    }
  }
  void write(const std::string& npy_path, const std::string& npz_path) const {
    const auto vector = [](const char* type, std::size_t size, const std::string& bytes) {
      return test::npy(type, "(" + std::to_string(size) + ",)", bytes);
    };
    write_bytes(npy_path, test::npy("<f4", "(240, 30)", bytes_of(dense)));
    const std::vector<std::pair<const char*, std::string>> members{
        {"indices.npy", vector("<i4", column.size(), bytes_of(column))},
        {"indptr.npy", vector("<i4", begin.size(), bytes_of(begin))},
        {"format.npy", test::npy("|S3", "()", "csr")},
        {"shape.npy", vector("<i8", 2, bytes_of(std::vector<std::int64_t>{kRows, kCols}))},
        {"data.npy", vector("<f4", value.size(), bytes_of(value))}};
    zip_t* archive = zip_open(npz_path.c_str(), ZIP_CREATE, nullptr);
    for (const auto& [name, content] : members)
      zip_file_add(archive, name, zip_source_buffer(archive, content.data(), content.size(), 0), 0);
    ASSERT_EQ(zip_close(archive), 0);
  }
};

json figures_of(json object) {
  for (const char* key : {"seconds", "samples_per_second", "run", "out"}) object.erase(key);
  return object;
}

TEST(Sparse, FiguresAreThoseOfTheDenseRows) {
  const TempFolder folder;
  Counts().write(folder / "x.npy", folder / "x.npz");
  for (const std::string family : {"poisson", "negative-binomial", "multinomial"}) {
    std::vector<json> train, evaluate;
    std::vector<std::string> codes, pictures;
    for (const std::string data : {"x.npy", "x.npz"}) {
      const std::string run = folder / (family + data);
      train.push_back(figures_of(felbo_json({"train", "--data", folder / data, "--out", run, "--likelihood",
                                             family, "--hidden", "8", "--latent", "2", "--epochs", "2",
                                             "--batch", "32", "--track-gap", "1", "--threads", "1"})));
      evaluate.push_back(figures_of(felbo_json({"evaluate", run, "--samples", "3", "--threads", "1"})));
      // A few of the rows.
      evaluate.back()["few"] = figures_of(
          felbo_json({"evaluate", run, "--count", "7", "--ais", "5", "--chains", "2", "--threads", "1"}));
      evaluate.back()["gap"] =
          figures_of(felbo_json({"gap", run, "--count", "3", "--simulated", "0", "--fit-steps", "10", "--ais",
                                 "5", "--chains", "2", "--samples", "10", "--threads", "1"}));
      felbo_json({"encode", run, "--out", folder / "codes.npy"});
      felbo_json({"reconstruct", run, "--count", "5", "--out", folder / "pairs.npy"});
      codes.push_back(read_bytes(folder / "codes.npy"));
      pictures.push_back(read_bytes(folder / "pairs.npy"));
    }
    EXPECT_EQ(train[0], train[1]) << family;
    EXPECT_EQ(evaluate[0], evaluate[1]) << family;
    EXPECT_EQ(codes[0], codes[1]) << family;
    EXPECT_EQ(pictures[0], pictures[1]) << family;
  }
}

TEST(Categorical, TrainsOnLevelsAndShowsPictures) {
  const TempFolder folder;
  write_bytes(folder / "x.npy", picture_npy(300, 4, 3));
  const std::string run = folder / "run";
  felbo_json({"train", "--data", folder / "x.npy", "--out", run, "--likelihood", "categorical", "--hidden",
              "8", "--latent", "2", "--epochs", "2", "--batch", "32", "--threads", "1"});
  EXPECT_NE(read_bytes(run + "/config.toml").find("categories = 2"),
            std::string::npos);  // two hundred and some
  EXPECT_TRUE(std::filesystem::exists(run + "/samples.png"));
  const json e = felbo_json({"evaluate", run, "--samples", "3", "--threads", "1"});
  EXPECT_LT(e["elbo"].get<double>(), 0.0);  // a probability
  const Outcome refused = felbo({"train", "--data", folder / "x.npy", "--out", folder / "other",
                                 "--likelihood", "categorical", "--categories", "9"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_NE(refused.err.find("needs levels 0, 1, 2, ... up to 8 (--categories)"), std::string::npos)
      << refused.err;
}

// Three kinds of rows, one level in twelve of another kind. The best model without latents is the levels'
// shares of each column; here of all rows, those that are held out with them.
TEST(Categorical, IsAheadOfTheBestModelWithoutLatents) {
  constexpr int kRows = 2000, kCols = 12, kLevels = 4;
  const std::string random = random_bytes(2 * kRows * (kCols + 1));
  const auto byte = [&](int i) { return static_cast<unsigned char>(random[static_cast<std::size_t>(i)]); };
  std::string levels;
  std::vector<double> counts(kCols * kLevels);
  for (int i = 0; i < kRows; ++i) {
    const int kind = byte(i) % 3;
    for (int j = 0; j < kCols; ++j) {
      const int at = kRows + i * kCols + j;
      const int level = byte(at) % 12 == 0 ? byte(at) / 12 % kLevels : (kind * (1 + j % 3) + j) % kLevels;
      levels += static_cast<char>(level);
      counts[static_cast<std::size_t>(j * kLevels + level)] += 1;
    }
  }
  double without = 0;
  for (const double count : counts) without += count > 0 ? count / kRows * std::log(count / kRows) : 0;
  const TempFolder folder;
  write_bytes(folder / "x.npy", test::npy("|u1", "(2000, 12)", levels));
  const json run = felbo_json({"train", "--data", folder / "x.npy", "--out", folder / "run", "--likelihood",
                               "categorical", "--hidden", "32", "--latent", "2", "--epochs", "15", "--batch",
                               "32", "--lr", "3e-3", "--threads", "1"});
  EXPECT_GT(run["elbo"].get<double>(), without + 3);  // of about -11 nats
}

}  // namespace
}  // namespace felbo::cli
