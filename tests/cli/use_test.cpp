// The verbs that use a trained model: what they write is recomputed from one another's files, and bad
// requests end with status 2 and nothing written.
#include <algorithm>
#include <cmath>

#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

/// What a .npy file of little-endian floats (or doubles) holds.
struct Array {
  std::string header;
  std::vector<double> values;
};

template <class T = float>
Array read_npy(const std::filesystem::path& path) {
  const std::string bytes = read_bytes(path);
  std::uint16_t length = 0;
  std::memcpy(&length, bytes.data() + 8, 2);
  Array array{bytes.substr(10, length), {}};
  for (std::size_t at = 10u + length; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    array.values.push_back(double(value));
  }
  return array;
}

std::vector<double> part(const std::vector<double>& values, std::size_t first, std::size_t count) {
  return {values.begin() + std::ptrdiff_t(first), values.begin() + std::ptrdiff_t(first + count)};
}

constexpr int kRows = 300, kHeldOut = 30, X = 30;

class Use : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    write_bytes(path("x.npy"), picture_npy(kRows, 6, 5));
    write_bytes(path("noise.npy"), test::npy("|u1", "(50, 6, 5)", random_bytes(50 * X)));
    write_bytes(path("vectors.npy"), float_npy(kRows, 12, -1, 1));
    write_bytes(path("wide.npy"), float_npy(kRows, 31, 0, 1));
    train("run", {"--data", path("x.npy"), "--binarize", "dynamic"});
    train("vectors", {"--data", path("vectors.npy"), "--likelihood", "gaussian", "--variance", "fixed:0.09"});
    train("counts", {"--data", path("x.npy"), "--likelihood", "poisson"});
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string path(const std::string& name) { return *folder_ / name; }
  static void train(const std::string& name, const Words& flags) {
    felbo_json(Words{"train", "--out", path(name), "--hidden", "16", "--latent", "3", "--epochs", "20",
                     "--batch", "32", "--lr", "1e-2", "--threads", "1"} +
               flags);
  }

  static std::unique_ptr<TempFolder> folder_;
};
std::unique_ptr<TempFolder> Use::folder_;

// --- sample -----------------------------------------------------------------------------------------------

/// Bounds of five standard errors.
TEST_F(Use, ObservationsAreDrawnAboutTheirMeans) {
  for (const std::string from : {"prior", "posterior", "aggregate"}) {
    const Words sample{"sample", path("run"), "--from", from, "--count", "30", "--out"};
    felbo_json(sample + Words{path("means.npy")});
    felbo_json(sample + Words{path("draws.npy"), "--observations"});
    const Array means = read_npy(path("means.npy")), draws = read_npy(path("draws.npy"));
    EXPECT_TRUE(has(draws.header, "(30, 30)"));
    ASSERT_EQ(draws.values.size(), 900u);
    double sum = 0, variance = 0;
    for (std::size_t i = 0; i < 900; ++i) {
      ASSERT_TRUE(draws.values[i] == 0 || draws.values[i] == 1);
      sum += draws.values[i] - means.values[i];
      variance += means.values[i] * (1 - means.values[i]);
    }
    EXPECT_LT(std::abs(sum), 5 * std::sqrt(variance)) << from;
  }
  felbo_json({"sample", path("vectors"), "--count", "1000", "--out", path("means.npy")});
  felbo_json({"sample", path("vectors"), "--count", "1000", "--out", path("draws.npy"), "--observations"});
  const Array means = read_npy(path("means.npy")), draws = read_npy(path("draws.npy"));
  double square = 0;
  for (std::size_t i = 0; i < 12000; ++i) square += std::pow(draws.values[i] - means.values[i], 2) / 12000;
  EXPECT_NEAR(square, 0.09, 5 * 0.09 * std::sqrt(2.0 / 12000));
}

TEST_F(Use, ObservationsAreFunctionsOfTheirNumber) {
  const Words sample{"sample", path("run"), "--observations"};
  felbo_json(sample + Words{"--count", "280", "--out", path("many.npy"), "--threads", "2"});
  felbo_json(sample + Words{"--count", "270", "--out", path("few.npy"), "--threads", "1"});
  felbo_json(sample + Words{"--count", "270", "--out", path("other.npy"), "--seed", "3"});
  const std::vector<double> many = read_npy(path("many.npy")).values, few = read_npy(path("few.npy")).values;
  EXPECT_EQ(part(many, 0, few.size()), few);
  EXPECT_NE(read_npy(path("other.npy")).values, few);
}

TEST_F(Use, AggregateIsFittedToTheTrainingData) {
  const Words sample{"sample", path("run"), "--from", "aggregate", "--count", "9"};
  const json one = felbo_json(sample + Words{"--components", "1", "--out", path("a.png")})["mixture"];
  EXPECT_EQ(one["components"], 1);
  EXPECT_EQ(one["fitted_to"], "train");
  EXPECT_EQ(one["codes"], kRows - kHeldOut);
  EXPECT_TRUE(one["converged"]);
  // One Gaussian of the greatest likelihood has a greater one than N(0, I).
  EXPECT_GE(one["log_density"], one["log_standard_normal"]);
  const json diagonal = felbo_json(
      sample + Words{"--components", "1", "--covariance", "diagonal", "--out", path("a.npy")})["mixture"];
  EXPECT_GE(diagonal["log_density"], one["log_standard_normal"]);
  EXPECT_LE(diagonal["log_density"], one["log_density"]);
  const json valid =
      felbo_json(sample + Words{"--components", "2", "--split", "valid", "--out", path("b.npy")});
  EXPECT_EQ(valid["mixture"]["codes"], kHeldOut);
  felbo_json(sample + Words{"--components", "4", "--threads", "1", "--out", path("c.npy")});
  felbo_json(sample + Words{"--components", "4", "--threads", "2", "--out", path("d.npy")});
  EXPECT_EQ(read_bytes(path("c.npy")), read_bytes(path("d.npy")));
}

// --- interpolate, traverse --------------------------------------------------------------------------------

TEST_F(Use, PathsBeginAndEndAtReconstructions) {
  felbo_json({"reconstruct", path("run"), "--count", "12", "--out", path("r.npy")});
  const std::vector<double> both = read_npy(path("r.npy")).values;  // data, then reconstructions
  const auto reconstruction = [&](std::size_t row) { return part(both, (12 + row) * X, X); };
  for (const std::string kind : {"linear", "spherical"}) {
    const json said = felbo_json({"interpolate", path("run"), "--path", kind, "--rows", "0,11,7,7", "--steps",
                                  "5", "--out", path("i.npy")});
    EXPECT_EQ(
        said,
        (json{{"out", path("i.npy")}, {"count", 2}, {"steps", 5}, {"path", kind}, {"rows", {0, 11, 7, 7}}}));
    const Array along = read_npy(path("i.npy"));
    EXPECT_TRUE(has(along.header, "(2, 5, 30)"));
    EXPECT_EQ(part(along.values, 0, X), reconstruction(0));
    EXPECT_EQ(part(along.values, 4 * X, X), reconstruction(11));
    EXPECT_NE(part(along.values, 2 * X, X), reconstruction(11));
    for (std::size_t i = 5; i < 10; ++i) EXPECT_EQ(part(along.values, i * X, X), reconstruction(7));
  }
  EXPECT_EQ(felbo_json({"interpolate", path("run"), "--count", "3", "--out", path("i.png")})["rows"],
            (json{0, 1, 2, 3, 4, 5}));
  EXPECT_TRUE(read_bytes(path("i.png")).starts_with("\x89PNG\r\n\x1a\n"));
}

TEST_F(Use, TraversalsGoByTheKl) {
  const json said =
      felbo_json({"traverse", path("run"), "--row", "4", "--steps", "3", "--out", path("t.npy")});
  const json kl = felbo_json({"evaluate", path("run")})["latent"]["kl"];
  ASSERT_EQ(said["dimensions"].size(), 3u);
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_NEAR(said["kl"][k], kl[said["dimensions"][k].get<std::size_t>()].get<double>(), 1e-9);
    EXPECT_LE(said["kl"][k], said["kl"][k == 0 ? 0 : k - 1]);
  }
  const Array along = read_npy(path("t.npy"));
  EXPECT_TRUE(has(along.header, "(3, 3, 30)"));
  // Two ends of a dimension that carries something differ.
  EXPECT_NE(part(along.values, 0, X), part(along.values, 2 * X, X));
  const json two = felbo_json(
      {"traverse", path("run"), "--row", "4", "--dimensions", "2", "--range", "1.5", "--out", path("t.png")});
  EXPECT_EQ(two["dimensions"], (json{said["dimensions"][0], said["dimensions"][1]}));
  EXPECT_TRUE(read_bytes(path("t.png")).starts_with("\x89PNG\r\n\x1a\n"));
}

// --- denoise ----------------------------------------------------------------------------------------------

TEST_F(Use, DenoiseReportsThePsnrOfWhatItWrites) {
  for (const std::string noise : {"gaussian:2", "salt-pepper:0.8", "mask:0.3"}) {
    const json said =
        felbo_json({"denoise", path("run"), "--noise", noise, "--count", "30", "--out", path("d.npy")});
    const Array rows = read_npy(path("d.npy"));
    EXPECT_TRUE(has(rows.header, "(3, 30, 30)"));
    double noisy = 0, denoised = 0;
    for (std::size_t i = 0; i < 900; ++i) {
      const double clean = rows.values[i];
      ASSERT_TRUE(clean == 0 || clean == 1);  // as the run binarises its data
      noisy += std::pow(rows.values[900 + i] - clean, 2) / 900;
      denoised += std::pow(rows.values[1800 + i] - clean, 2) / 900;
    }
    EXPECT_EQ(said["count"], kHeldOut);
    EXPECT_EQ(said["peak"], 1.0);
    EXPECT_NEAR(said["psnr_noisy"], -10 * std::log10(noisy), 1e-4);
    EXPECT_NEAR(said["psnr_denoised"], -10 * std::log10(denoised), 1e-4);
    EXPECT_GT(said["psnr_reconstructed"], said["psnr_denoised"]) << noise;
    // A third of the pixels at random is less than the model loses on such noisy data.
    const bool gains = noise != "mask:0.3";
    EXPECT_EQ(said["psnr_denoised"] > said["psnr_noisy"], gains) << noise;
    EXPECT_EQ(said["improved"] > kHeldOut / 2, gains) << noise;
  }
  felbo_json({"denoise", path("run"), "--noise", "mask:0.3", "--out", path("d.png")});
  EXPECT_TRUE(read_bytes(path("d.png")).starts_with("\x89PNG\r\n\x1a\n"));
}

TEST_F(Use, DenoiseOfOtherDataIsRelativeToTheirRange) {
  const json said = felbo_json(
      {"denoise", path("vectors"), "--noise", "gaussian:0.1", "--count", "2", "--out", path("d.npy")});
  EXPECT_NEAR(said["peak"], 2.0, 0.02);  // values in [-1, 1)
  // Nothing is held to [0, 1]: an error of 0.1 against a peak of 2, of 360 values.
  EXPECT_NEAR(said["psnr_noisy"], 10 * std::log10(4 / 0.01),
              5 * 10 / std::log(10.0) * std::sqrt(2.0 / 360) + 0.1);
}

// --- score ------------------------------------------------------------------------------------------------

TEST_F(Use, ScoresAreWhatEvaluateAverages) {
  const json said = felbo_json({"score", path("run"), "--samples", "20", "--out", path("s.npy")});
  const json evaluated = felbo_json({"evaluate", path("run"), "--samples", "20"});
  const Array scores = read_npy<double>(path("s.npy"));
  EXPECT_TRUE(has(scores.header, "<f8"));
  EXPECT_TRUE(has(scores.header, "(30,)"));
  double sum = 0;
  for (const double v : scores.values) sum += v / kHeldOut;
  EXPECT_NEAR(sum, evaluated["log_px"], 1e-9);
  EXPECT_EQ(said["log_px"], evaluated["log_px"]);
  EXPECT_EQ(said["elbo"], evaluated["elbo"]);
  EXPECT_EQ(said["count"], kHeldOut);
  EXPECT_FALSE(said.contains("auroc"));
  felbo_json({"score", path("run"), "--samples", "20", "--out", path("s.csv")});
  const std::string csv = read_bytes(path("s.csv"));
  EXPECT_TRUE(csv.starts_with("datum,log_px,elbo,log_px_stderr,k_hat\n0,-"));
  EXPECT_EQ(std::ranges::count(csv, '\n'), kHeldOut + 1);
}

TEST_F(Use, ScoreTellsDataFromNoiseAndSaysWhenItDoesNot) {
  const Words score{"score", path("run"), "--samples", "10"};
  const json same = felbo_json(score + Words{"--against", path("x.npy"), "--against-split", "valid"});
  EXPECT_EQ(same["auroc"], 0.5);
  EXPECT_FALSE(same["misleading"]);
  const json noise = felbo_json(score + Words{"--against", path("noise.npy"), "--against-out", path("n.npy"),
                                              "--picture", path("s.png")});
  EXPECT_EQ(noise["against"]["count"], 50);  // all rows: nothing of a foreign set is held out
  EXPECT_GT(noise["auroc"], 0.8);
  EXPECT_TRUE(has(noise["caveat"].get<std::string>(), "Nalisnick"));
  EXPECT_EQ(read_npy<double>(path("n.npy")).values.size(), 50u);
  EXPECT_TRUE(read_bytes(path("s.png")).starts_with("\x89PNG\r\n\x1a\n"));
  // The other way about the "other" data score higher.
  const Outcome outcome = felbo({"score", path("run"), "--samples", "10", "--data", path("noise.npy"),
                                 "--against", path("x.npy"), "--json"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_TRUE(has(outcome.err, "likelihoods mislead here"));
  EXPECT_TRUE(outcome.object()["misleading"]);
  EXPECT_NEAR(outcome.object()["auroc"], 1 - noise["auroc"].get<double>(), 1e-9);
}

// --- bad requests -----------------------------------------------------------------------------------------

/// As the cases of bad_input_test.cpp.
struct Case {
  const char* arguments;
  const char* words;
};

Words split(const std::string& text, const std::string& separator, const std::string& folder) {
  Words parts(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, separator.size(), separator) == 0) {
      parts.emplace_back();
      i += separator.size() - 1;
    } else {
      parts.back() += text[i] == '~' ? folder : std::string(1, text[i]);
    }
  }
  return parts;
}

constexpr Case kBad[] = {
    {"sample ~/run --count 4 --components 3 --out ~/y.npy", "--components; --from aggregate"},
    {"sample ~/run --count 4 --from posterior --covariance full --out ~/y.npy",
     "--covariance; --from aggregate"},
    {"sample ~/run --count 4 --from aggregate --covariance round --out ~/y.npy", "--covariance; round"},
    {"sample ~/run --count 4 --from aggregate --components 0 --out ~/y.npy",
     "--components; 270 train; got 0"},
    {"sample ~/run --count 4 --from aggregate --components 271 --out ~/y.npy",
     "--components; 270 train; 271"},
    {"sample ~/run --count 4 --from aggregate --data ~/wide.npy --out ~/y.npy", "~/wide.npy; 31 columns"},
    {"sample ~/counts --count 4 --out ~/y.png", "~/y.png; poisson; counts; .npy"},
    {"sample ~/vectors --count 4 --from aggregate --out ~/y.png", "~/y.png; not pictures; .npy"},
    {"interpolate ~/run --count 16 --out ~/y.npy", "--count; 15; 30 valid; got 16"},
    {"interpolate ~/run --count 0 --out ~/y.npy", "--count; got 0"},
    {"interpolate ~/run --rows 1,2,3 --out ~/y.npy", "--rows; 3 rows; pairs"},
    {"interpolate ~/run --rows 1,30 --out ~/y.npy", "--rows 30; valid; 0 to 29"},
    {"interpolate ~/run --rows 0,-1 --out ~/y.npy", "--rows -1"},
    {"interpolate ~/run --rows 0,1 --count 2 --out ~/y.npy", "--rows; --count"},
    {"interpolate ~/run --steps 1 --out ~/y.npy", "--steps; got 1"},
    {"interpolate ~/run --steps 99999999 --out ~/y.npy", "--steps; 99999999"},
    {"interpolate ~/run --path curved --out ~/y.npy", "linear; spherical; curved"},
    {"interpolate ~/run --out ~/y.jpg", "~/y.jpg; .png; .npy"},
    {"interpolate ~/vectors --out ~/y.png", "~/y.png; not pictures"},
    {"interpolate ~/counts --out ~/y.png", "~/y.png; counts"},
    {"interpolate ~/run --out ~/none/y.npy", "~/none/y.npy; no folder"},
    {"traverse ~/run --row 30 --out ~/y.npy", "--row 30; 0 to 29"},
    {"traverse ~/run --row=-1 --out ~/y.npy", "--row -1"},
    {"traverse ~/run --dimensions 4 --out ~/y.npy", "--dimensions; 3 latent; got 4"},
    {"traverse ~/run --dimensions=-1 --out ~/y.npy", "--dimensions; got -1"},
    {"traverse ~/run --steps 0 --out ~/y.npy", "--steps; got 0"},
    {"traverse ~/run --range 0 --out ~/y.npy", "--range; got 0"},
    {"traverse ~/run --range nan --out ~/y.npy", "--range; nan"},
    {"traverse ~/vectors --out ~/y.png", "~/y.png; not pictures"},
    {"denoise ~/run --out ~/y.npy", "--noise"},
    {"denoise ~/run --noise snow:1 --out ~/y.npy", "snow:1; gaussian:S; salt-pepper:P; mask:P"},
    {"denoise ~/run --noise gaussian --out ~/y.npy", "gaussian; a number is missing"},
    {"denoise ~/run --noise mask:1.5 --out ~/y.npy", "mask:1.5; probability; at most 1"},
    {"denoise ~/run --noise mask:0.1 --count 31 --out ~/y.npy", "--count; 30 valid; got 31"},
    {"denoise ~/counts --noise gaussian:1 --out ~/y.npy", "poisson; counts"},
    {"denoise ~/run --noise mask:0.1 --out ~/y.gif", "~/y.gif; .png; .npy"},
    {"score ~/run --out ~/y.png", "~/y.png; .npy; .csv"},
    {"score ~/run --samples 0", "samples; 0"},
    {"score ~/run --against ~/wide.npy", "~/wide.npy; 31 columns; 30"},
    {"score ~/run --against ~/none.npy", "~/none.npy"},
    {"score ~/run --against ~/noise.npy --against-split test", "--split test; train only"},
    {"score ~/run --against-out ~/y.npy", "--against-out; --against SPEC"},
    {"score ~/run --picture ~/y.npy", "~/y.npy; .png"},
    {"score ~/vectors --picture ~/y.png", "~/y.png; not pictures"},
    {"score ~/run --out ~/y.npy --picture ~/none/y.png", "~/none/y.png; no folder"},
    {"score ~/none", "~/none; holds no run"},
};

TEST_F(Use, BadRequestsAreRefused) {
  const std::string folder = folder_->path().string();
  const auto before = snapshot(folder_->path());
  for (const Case& c : kBad) {
    SCOPED_TRACE(c.arguments);
    const Outcome outcome = felbo(split(c.arguments, " ", folder));
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    for (const std::string& word : split(c.words, "; ", folder)) EXPECT_TRUE(has(outcome.err, word));
  }
  EXPECT_TRUE(before == snapshot(folder_->path())) << "something was written";
}

TEST_F(Use, HelpIsThere) {
  for (const char* verb : {"sample", "interpolate", "traverse", "denoise", "score"})
    EXPECT_EQ(felbo({verb, "--help"}).status, 0);
}

}  // namespace
}  // namespace felbo::cli
