// Are the random numbers what they are said to be? Each test has many p-values and is wrong about right
// numbers once in a million seeds (kAlarm); seeds are fixed, so a test that passes goes on passing. With each
// goes a list of planted errors that it must see. Beside these, kernels/noise compares every number with its
// reference, host/train/shuffle_test.cpp counts orders and places, and host/evaluate/draw_test.cpp compares
// the draws of every likelihood with their distribution.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <numeric>
#include <random>

#include "host/train/shuffle.h"
#include "kernels/common/normal.h"
#include "kernels/gather/gather.h"
#include "kernels/noise/noise.h"
#include "tests/statistics/lattice.h"

namespace felbo::statistics {
namespace {

constexpr double kAlarm = 1e-6;
constexpr std::uint64_t kSeed = 20260;

void expect_right(const char* what, const Findings& findings) {
  std::printf("%s: %s\n", what, findings.text().c_str());
  EXPECT_FALSE(findings.alarm(kAlarm)) << what << ": " << findings.text();
}
void expect_wrong(const char* what, const Findings& findings) {
  EXPECT_TRUE(findings.alarm(kAlarm)) << "not seen: " << what << ": " << findings.text();
}

// --- The p-values themselves -------------------------------------------------------------------------------

// Quantiles from tables: Abramowitz and Stegun, 26.8 (chi-square); Smirnov (1948); and sums by hand.
TEST(PValues, AreThoseOfTables) {
  EXPECT_NEAR(p_of_normal(1.959964), 0.05, 1e-7);
  EXPECT_NEAR(p_of_normal(-4.891638), 1e-6, 1e-11);
  EXPECT_NEAR(p_of_chi_square(18.30704, 10), 0.05, 1e-7);
  EXPECT_NEAR(p_of_chi_square(3.94030, 10), 0.95, 1e-6);
  EXPECT_NEAR(p_of_chi_square(149.4493, 100), 0.001, 1e-8);
  EXPECT_NEAR(p_of_chi_square(2 * std::log(1e6), 2), 1e-6, 1e-15);
  EXPECT_NEAR(p_of_kolmogorov(1.3581 / 1e4, 1e8), 0.05, 1e-5);
  EXPECT_NEAR(p_of_kolmogorov(2.69338 / 1e4, 1e8), 1e-6, 1e-9);
  EXPECT_NEAR(p_of_binomial(0, 3, 0.5), 0.25, 1e-12);
  EXPECT_NEAR(p_of_binomial(9, 10, 0.5), 22.0 / 1024, 1e-12);
  EXPECT_EQ(p_of_binomial(1, 10, 0.0), 0.0);
  EXPECT_EQ(p_of_binomial(10, 10, 1.0), 1.0);
  EXPECT_EQ(p_of_equal_counts({5, 5, 5}), 1.0);
}

TEST(PValues, ANanIsAnAlarm) {
  Findings findings;
  findings.add("one", 0.5);
  EXPECT_FALSE(findings.alarm(kAlarm));
  findings.add("NaN", std::nan(""));
  findings.add("another", 0.5);
  EXPECT_TRUE(findings.alarm(kAlarm));
}

// --- Normals: the distribution of one ----------------------------------------------------------------------

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

void add_kolmogorov(std::vector<float> x, const std::function<double(double)>& cdf, Findings& findings) {
  std::ranges::sort(x);
  const double n = static_cast<double>(x.size());
  double distance = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double at = cdf(x[i]), before = static_cast<double>(i) / n;
    distance = std::max({distance, at - before, before + 1 / n - at});
  }
  findings.add("Kolmogorov-Smirnov", p_of_kolmogorov(distance, n));
}

/// Moments 1 to 4 as Hermite's polynomials, which are uncorrelated and have variance k!.
void add_moments(const std::vector<float>& values, Findings& findings) {
  double he[4] = {};
  for (const float v : values) {
    const double x = v, x2 = x * x;
    he[0] += x;
    he[1] += x2 - 1;
    he[2] += x * (x2 - 3);
    he[3] += x2 * (x2 - 6) + 3;
  }
  double variance = static_cast<double>(values.size());
  for (int k = 1; k <= 4; ++k) {
    variance *= k;
    findings.add("moment " + std::to_string(k), p_of_normal(he[k - 1] / std::sqrt(variance)));
  }
}

/// Of each purpose 2^18 normals: KS and moments; and of all together, 2^20 and more.
std::vector<float> normals(Purpose purpose, std::int64_t rows = 1024, std::int64_t cols = 256) {
  std::vector<float> x(static_cast<std::size_t>(rows * cols));
  normal_fill(CpuExec(2), {{kSeed, 11, purpose}, 0, 3, View<float, 2>(x.data(), rows, cols)});
  return x;
}

Findings distribution_of(const std::vector<float>& x) {
  Findings findings;
  add_kolmogorov(x, normal_cdf, findings);
  add_moments(x, findings);
  return findings;
}

TEST(Normals, AreStandardNormal) {
  expect_right("normals", distribution_of(normals(Purpose::kLatent, 8192)));
  Findings by_purpose;
  for (const Purpose purpose : {Purpose::kHeldOutLatent, Purpose::kPrior, Purpose::kAnneal,
                                purpose_of_layer(Purpose::kLatentAbove, 3)}) {
    const std::vector<float> x = normals(purpose);
    add_kolmogorov(x, normal_cdf, by_purpose);
    add_moments(x, by_purpose);
  }
  expect_right("normals by purpose", by_purpose);
}

TEST(Normals, OfAWrongDistributionAreSeen) {
  const std::vector<float> right = normals(Purpose::kLatent, 8192);
  const auto changed = [&](const std::function<float(float)>& f) {
    std::vector<float> x = right;
    for (float& v : x) v = f(v);
    return distribution_of(x);
  };
  expect_wrong("a scale of 1.01", changed([](float v) { return 1.01f * v; }));
  expect_wrong("a mean of 0.01", changed([](float v) { return v + 0.01f; }));
  expect_wrong("a tail cut at 3", changed([](float v) { return std::clamp(v, -3.0f, 3.0f); }));
  expect_wrong("steps of 1/32", changed([](float v) { return std::round(v * 32) / 32; }));
  expect_wrong("a skew", changed([](float v) { return v + 0.01f * (v * v - 1); }));
  expect_wrong("0 a little too often", changed([](float v) { return std::abs(v) < 0.01f ? 0.0f : v; }));
}

// --- Normals: dependence on one another --------------------------------------------------------------------

constexpr Place kNoiseSize{8, 128, 4, 16};

/// As an op makes them.
Lattice noise_lattice() {
  Lattice lattice(kNoiseSize);
  for (std::int64_t t = 0; t < kNoiseSize[0]; ++t) {
    for (std::int64_t s = 0; s < kNoiseSize[2]; ++s) {
      const View<float, 2> rows(lattice.value.data() + lattice.index({t, 0, s, 0}), kNoiseSize[1],
                                kNoiseSize[3], kNoiseSize[2] * kNoiseSize[3]);
      normal_fill(
          CpuExec(2),
          {{kSeed, static_cast<std::uint32_t>(t), Purpose::kLatent}, 0, static_cast<std::uint32_t>(s), rows});
    }
  }
  return lattice;
}

/// The normal that belongs to a place.
float noise_at(const Place& p) {
  const NoiseStream stream{kSeed, static_cast<std::uint32_t>(p[0]), Purpose::kLatent};
  const auto block = static_cast<std::uint32_t>(p[3] / 4);
  return normals_from_words(
      stream.words(static_cast<std::uint32_t>(p[1]), static_cast<std::uint32_t>(p[2]), block))[p[3] % 4];
}

Findings dependence_of(const Lattice& lattice) {
  Findings findings;
  add_dependence(lattice, true, findings);
  return findings;
}

TEST(Normals, OfDifferentPlacesAreIndependent) {
  const Lattice lattice = noise_lattice();
  const Lattice named = make_lattice(kNoiseSize, noise_at);
  ASSERT_TRUE(lattice.value == named.value);
  expect_right("normals apart", dependence_of(lattice));
}

TEST(Normals, ThatDependOnOneAnotherAreSeen) {
  const auto with = [](const std::function<Place(Place)>& name) {
    return dependence_of(make_lattice(kNoiseSize, [&](const Place& p) { return noise_at(name(p)); }));
  };
  using P = Place;
  expect_wrong("a counter that repeats between steps", with([](P p) { return p[0] /= 2, p; }));
  expect_wrong("a step that is not in the counter", with([](P p) { return p[0] = 0, p; }));
  expect_wrong("data in pairs", with([](P p) { return p[1] /= 2, p; }));
  expect_wrong("data that repeat after 32", with([](P p) { return p[1] %= 32, p; }));
  expect_wrong("a sample that is not in the counter", with([](P p) { return p[2] = 0, p; }));
  expect_wrong("elements that repeat after 8", with([](P p) { return p[3] %= 8, p; }));
  expect_wrong("a lag of a datum a step", with([](P p) { return p[1] += p[0], p[0] = 0, p; }));
  expect_wrong("a lag of a block a datum", with([](P p) { return p[3] += 4 * p[1], p[1] = 0, p; }));
  expect_wrong("samples and data added", with([](P p) { return p[1] += p[2], p[2] = 0, p; }));
  const auto of = [](const std::function<float(const Place&)>& f) {
    return dependence_of(make_lattice(kNoiseSize, f));
  };
  expect_wrong("samples in pairs of opposite sign", of([](const P& p) {
                 return (p[2] % 2 ? -1.0f : 1.0f) * noise_at({p[0], p[1], p[2] / 2, p[3]});
               }));
  expect_wrong("signs of their own, magnitudes of the element before", of([](const P& p) {
                 return std::copysign(noise_at({p[0], p[1], p[2], p[3] / 2 * 2}), noise_at(p));
               }));
  expect_wrong("a correlation of 0.03 with the datum before", of([](const P& p) {
                 const float before = noise_at({p[0], p[1] + 1, p[2], p[3]});
                 return std::sqrt(1 - 0.03f * 0.03f) * noise_at(p) + 0.03f * before;
               }));
}

// Streams of neighbouring seeds, of seeds that differ in one bit, and of all purposes.
TEST(Normals, OfDifferentStreamsAreIndependent) {
  std::vector<std::vector<float>> streams;
  const auto add = [&](std::uint64_t seed, Purpose purpose) {
    streams.emplace_back(1 << 14);
    normal_fill(CpuExec(1), {{seed, 5, purpose}, 0, 0, View<float, 2>(streams.back().data(), 64, 256)});
  };
  for (std::uint64_t seed = 0; seed < 8; ++seed) add(seed, Purpose::kLatent);
  for (int bit = 3; bit < 64; ++bit) add(std::uint64_t{1} << bit, Purpose::kLatent);
  for (std::uint32_t purpose = 0; purpose < 56; ++purpose) {
    if (static_cast<Purpose>(purpose) != Purpose::kLatent) add(0, static_cast<Purpose>(purpose));
  }
  Findings findings;
  for (std::size_t a = 0; a < streams.size(); ++a) {
    for (std::size_t b = a + 1; b < streams.size(); ++b) {
      const double sum = std::inner_product(streams[a].begin(), streams[a].end(), streams[b].begin(), 0.0);
      findings.add(std::to_string(a) + " and " + std::to_string(b), p_of_normal(sum / (1 << 7)));
    }
  }
  expect_right("streams", findings);
  Findings same;
  const double sum = std::inner_product(streams[0].begin(), streams[0].end(), streams[0].begin(), 0.0);
  same.add("a stream and itself", p_of_normal(sum / (1 << 7)));
  expect_wrong("a stream twice", same);
}

// --- Uniforms ----------------------------------------------------------------------------------------------

std::vector<float> uniforms() {
  std::vector<float> u;
  const NoiseStream stream{kSeed, 0, Purpose::kBinarize};
  for (std::uint32_t block = 0; block < 1 << 16; ++block) {
    const Words4 words = stream.words(block / 256, 0, block % 256);
    for (int i = 0; i < 4; ++i) u.push_back(uniform_from_word(words[i]));
  }
  return u;
}

/// KS; 256 bins; pairs of neighbours in 64 x 64 cells; each of the 24 bits, alone and with each other.
Findings findings_of_uniforms(const std::vector<float>& u) {
  Findings findings;
  add_kolmogorov(
      u, [](double x) { return x; }, findings);
  std::vector<int> bins(256), cells(64 * 64);
  std::vector<std::int64_t> both(24 * 24);
  for (std::size_t i = 0; i < u.size(); ++i) {
    const auto grid = static_cast<std::uint32_t>(u[i] * 16777216.0f);
    ++bins[grid >> 16];
    if (i % 2 == 1)
      ++cells[static_cast<std::size_t>(u[i] * 64) * 64 + static_cast<std::size_t>(u[i - 1] * 64)];
    for (int a = 0; a < 24; ++a) {
      for (int b = a; b < 24; ++b)  // a bit alone, or whether two are equal
        both[a * 24 + b] += b == a ? grid >> a & 1 : ~(grid >> a ^ grid >> b) & 1;
    }
  }
  findings.add("256 bins", p_of_equal_counts(bins));
  findings.add("64 x 64 cells", p_of_equal_counts(cells));
  const double n = static_cast<double>(u.size());
  for (int a = 0; a < 24; ++a) {
    for (int b = a; b < 24; ++b)
      findings.add("bits " + std::to_string(a) + ", " + std::to_string(b),
                   p_of_normal((static_cast<double>(both[a * 24 + b]) - n / 2) / std::sqrt(n / 4)));
  }
  return findings;
}

TEST(Uniforms, AreUniformInEveryBit) { expect_right("uniforms", findings_of_uniforms(uniforms())); }

TEST(Uniforms, ThatAreNotAreSeen) {
  const std::vector<float> right = uniforms();
  std::vector<float> u = right;
  for (float& v : u) v = std::floor(v * 8388608.0f) / 8388608.0f;
  expect_wrong("a lost bit", findings_of_uniforms(u));
  u = right;
  for (float& v : u) v *= 255.0f / 256.0f;
  expect_wrong("1/256 too small", findings_of_uniforms(u));
  u = right;
  for (std::size_t i = 8; i < u.size(); i += 2) u[i] = u[i - 7];
  expect_wrong("neighbours that are equal", findings_of_uniforms(u));
  u = right;
  for (float& v : u) v = v < 0.003f ? v + 0.5f : v;
  expect_wrong("a gap", findings_of_uniforms(u));
}

// --- Orders of an epoch ------------------------------------------------------------------------------------

constexpr int kItems = 32, kEpochs = 20000;
using Order = std::vector<std::uint32_t>;
using Orders = std::vector<Order>;

Orders right_orders(std::uint64_t seed) {
  Orders orders;
  for (std::uint32_t epoch = 0; epoch < kEpochs; ++epoch) orders.push_back(epoch_order(seed, epoch, kItems));
  return orders;
}

/// sum over items of the products of their centred places: mean 0, variance (sum of squares)^2 / (n - 1).
double common_places(const Order& a, const Order& b) {
  std::vector<double> place(kItems);
  for (int i = 0; i < kItems; ++i) place[a[i]] = i - (kItems - 1) / 2.0;
  double sum = 0.0;
  for (int i = 0; i < kItems; ++i) sum += place[b[i]] * (i - (kItems - 1) / 2.0);
  return sum;
}

void add_pairs_of_epochs(const Orders& a, const Orders& b, std::size_t lag, const std::string& what,
                         Findings& findings) {
  const double n = kItems, squares = (n * n * n - n) / 12;
  double sum = 0.0;
  for (std::size_t e = 0; e + lag < a.size(); ++e) sum += common_places(a[e], b[e + lag]);
  const double variance = static_cast<double>(a.size() - lag) * squares * squares / (n - 1);
  findings.add(what, p_of_normal(sum / std::sqrt(variance)));
}

/// The items at two places together (chi-square over n (n - 1) cells); fixed points (mean 1, variance 1);
/// inversions (Kendall: mean n (n - 1) / 4, variance n (n - 1) (2 n + 5) / 72); places from epoch to epoch.
Findings findings_of_orders(const Orders& orders) {
  Findings findings;
  for (const auto& [i, j] : {std::pair{0, 1}, {15, 16}, {30, 31}, {0, 31}, {3, 19}}) {
    std::vector<int> cells(kItems * (kItems - 1));
    for (const Order& o : orders) ++cells[o[i] * (kItems - 1) + o[j] - (o[j] > o[i] ? 1 : 0)];
    findings.add("places " + std::to_string(i) + " and " + std::to_string(j), p_of_equal_counts(cells));
  }
  double fixed = 0.0, inversions = 0.0;
  for (const Order& o : orders) {
    for (int i = 0; i < kItems; ++i) {
      fixed += o[i] == static_cast<std::uint32_t>(i);
      for (int j = i + 1; j < kItems; ++j) inversions += o[i] > o[j];
    }
  }
  const double n = kItems, count = static_cast<double>(orders.size());
  findings.add("fixed points", p_of_normal((fixed - count) / std::sqrt(count)));
  findings.add("inversions", p_of_normal((inversions - count * n * (n - 1) / 4) /
                                         std::sqrt(count * n * (n - 1) * (2 * n + 5) / 72)));
  for (const std::size_t lag : {1, 2, 3, 4, 8, 16, 256})
    add_pairs_of_epochs(orders, orders, lag, "epochs " + std::to_string(lag) + " apart", findings);
  return findings;
}

TEST(Orders, AreUniformAndIndependent) {
  const Orders orders = right_orders(kSeed);
  expect_right("orders", findings_of_orders(orders));
  Findings seeds;
  for (const std::uint64_t other : {kSeed + 1, kSeed ^ std::uint64_t{1} << 32, std::uint64_t{0}})
    add_pairs_of_epochs(orders, right_orders(other), 0, "seed " + std::to_string(other), seeds);
  expect_right("orders of other seeds", seeds);
}

TEST(Orders, ThatAreNotAreSeen) {
  std::mt19937 words(7);
  const auto made = [&](const std::function<void(Order&)>& shuffle) {
    Orders orders(kEpochs, Order(kItems));
    for (Order& o : orders) std::iota(o.begin(), o.end(), 0u), shuffle(o);
    return findings_of_orders(orders);
  };
  expect_wrong("every place swapped with any", made([&](Order& o) {
                 for (std::uint32_t& item : o) std::swap(item, o[words() % kItems]);
               }));
  expect_wrong("never left in place (Sattolo's algorithm)", made([&](Order& o) {
                 for (int i = kItems - 1; i > 0; --i) std::swap(o[i], o[words() % i]);
               }));
  expect_wrong("the last place left alone", made([&](Order& o) {
                 for (int i = kItems - 2; i > 0; --i) std::swap(o[i], o[words() % (i + 1)]);
               }));
  expect_wrong("turned round only",
               made([&](Order& o) { std::ranges::rotate(o, o.begin() + words() % kItems); }));
  Orders orders = right_orders(kSeed);
  for (std::size_t e = 1; e < orders.size(); e += 2) orders[e] = orders[e - 1];
  expect_wrong("each order twice", findings_of_orders(orders));
  orders = right_orders(kSeed);
  for (std::size_t e = 1; e < orders.size(); e += 2)
    orders[e] = Order(orders[e - 1].rbegin(), orders[e - 1].rend());
  expect_wrong("each order backwards", findings_of_orders(orders));
}

// --- Dynamic binarisation ----------------------------------------------------------------------------------

constexpr std::int64_t kVisits = 256, kRows = 16, kLevels = 256;

/// Pixel j of every row has grey level j.
std::vector<std::uint8_t> grey_levels() {
  std::vector<std::uint8_t> pixels(kRows * kLevels);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i % kLevels);
  return pixels;
}

/// (visit, row, 1, pixel) as training sees them.
Lattice visits() {
  const std::vector<std::uint8_t> pixels = grey_levels();
  std::vector<std::uint32_t> rows(kRows);
  std::iota(rows.begin(), rows.end(), 0u);
  Lattice lattice({kVisits, kRows, 1, kLevels});
  for (std::int64_t t = 0; t < kVisits; ++t) {
    gather(CpuExec(2), GatherArgs<std::uint8_t>{
                           .data = {pixels.data(), kRows, kLevels},
                           .rows = {rows.data(), kRows},
                           .divisor = 255.0f,
                           .binarize = Binarize::kDynamic,
                           .noise = {kSeed, static_cast<std::uint32_t>(t), Purpose::kBinarize},
                           .x = {lattice.value.data() + lattice.index({t, 0, 0, 0}), kRows, kLevels}});
  }
  return lattice;
}

/// Each grey level's share of ones (exact binomial probabilities); and for the levels in the middle, whose
/// values are not too rare, the dependence between visits, rows and pixels.
Findings findings_of_visits(const Lattice& seen) {
  Findings findings;
  std::vector<std::int64_t> ones(kLevels);
  for (std::size_t i = 0; i < seen.value.size(); ++i) ones[i % kLevels] += seen.value[i] == 1.0f;
  for (std::int64_t k = 0; k < kLevels; ++k)
    findings.add("level " + std::to_string(k),
                 p_of_binomial(ones[k], kVisits * kRows, static_cast<double>(k) / 255.0));
  constexpr std::int64_t kFirst = 64, kCount = 128;
  const Lattice middle = make_lattice({kVisits, kRows, 1, kCount}, [&](Place p) {
    p[3] += kFirst;
    const double q = static_cast<double>(p[3]) / 255.0;
    return static_cast<float>((static_cast<double>(seen.value[seen.index(p)]) - q) / std::sqrt(q * (1 - q)));
  });
  add_dependence(middle, false, findings);
  return findings;
}

TEST(DynamicBinarisation, HasTheIntensityAsItsRate) {
  const Lattice seen = visits();
  for (const float x : seen.value) ASSERT_TRUE(x == 0.0f || x == 1.0f);
  expect_right("dynamic binarisation", findings_of_visits(seen));
}

TEST(DynamicBinarisation, OfAnotherRateOrOfRepeatedNoiseIsSeen) {
  const auto made = [](const std::function<bool(Place)>& one) {
    return findings_of_visits(
        make_lattice({kVisits, kRows, 1, kLevels}, [&](const Place& p) { return one(p) ? 1.0f : 0.0f; }));
  };
  const auto u = [](std::int64_t t, std::int64_t row, std::int64_t j) {
    const NoiseStream stream{kSeed, static_cast<std::uint32_t>(t), Purpose::kBinarize};
    const auto block = static_cast<std::uint32_t>(j / 4);
    return uniform_from_word(stream.words(static_cast<std::uint32_t>(row), 0, block)[j % 4]);
  };
  const auto p = [](std::int64_t level) { return static_cast<float>(level) / 255.0f; };
  // The list begins with what is right, made as the wrong ones are.
  const Lattice right = make_lattice({kVisits, kRows, 1, kLevels}, [&](const Place& at) {
    return u(at[0], at[1], at[3]) < p(at[3]) ? 1.0f : 0.0f;
  });
  ASSERT_TRUE(right.value == visits().value);
  expect_wrong("a divisor of 250", made([&](Place a) { return u(a[0], a[1], a[3]) < p(a[3]) * 255 / 250; }));
  expect_wrong("one level brighter", made([&](Place a) { return u(a[0], a[1], a[3]) < p(a[3] + 1); }));
  expect_wrong("noise that stays", made([&](Place a) { return u(0, a[1], a[3]) < p(a[3]); }));
  expect_wrong("noise for two visits", made([&](Place a) { return u(a[0] / 2, a[1], a[3]) < p(a[3]); }));
  expect_wrong("rows that share noise", made([&](Place a) { return u(a[0], 0, a[3]) < p(a[3]); }));
  expect_wrong("pixels that share noise", made([&](Place a) { return u(a[0], a[1], a[3] / 2) < p(a[3]); }));
  expect_wrong("a threshold", made([&](Place a) { return p(a[3]) >= 0.5f; }));
  expect_wrong("the gamma of a screen",
               made([&](Place a) { return u(a[0], a[1], a[3]) < std::pow(p(a[3]), 1.1f); }));
}

}  // namespace

Products shifted_products(const Lattice& lattice, const Place& shift) {
  Place first{}, last = lattice.size;
  std::int64_t offset = 0;
  for (int k = 0; k < 4; ++k) {
    first[k] = std::max<std::int64_t>(0, -shift[k]);
    last[k] = lattice.size[k] - std::max<std::int64_t>(0, shift[k]);
    offset = offset * lattice.size[k] + shift[k];
    if (first[k] >= last[k]) return {};
  }
  Products sums;
  Place p{};
  for (p[0] = first[0]; p[0] < last[0]; ++p[0]) {
    for (p[1] = first[1]; p[1] < last[1]; ++p[1]) {
      for (p[2] = first[2]; p[2] < last[2]; ++p[2]) {
        p[3] = first[3];
        const float* x = lattice.value.data() + lattice.index(p);
        for (std::int64_t i = 0; i < last[3] - first[3]; ++i) {
          const double a = x[i], b = x[i + offset];
          sums.xy += a * b;
          sums.squares += (a * a - 1) * (b * b - 1) / 2;
        }
        sums.count += static_cast<double>(last[3] - first[3]);
      }
    }
  }
  return sums;
}

void add_dependence(const Lattice& lattice, bool normal, Findings& findings) {
  const auto add = [&](const Place& shift) {
    const Products sums = shifted_products(lattice, shift);
    if (sums.count < 1000) return;
    std::string what;
    for (const std::int64_t s : shift) what += (what.empty() ? "" : ", ") + std::to_string(s);
    findings.add("values apart by " + what, p_of_normal(sums.xy / std::sqrt(sums.count)));
    if (normal) findings.add("squares apart by " + what, p_of_normal(sums.squares / std::sqrt(sums.count)));
  };
  const Place zero{};
  Place shift{};
  for (shift[0] = 0; shift[0] <= 2; ++shift[0]) {
    for (shift[1] = -2; shift[1] <= 2; ++shift[1]) {
      for (shift[2] = -2; shift[2] <= 2; ++shift[2]) {
        for (shift[3] = -4; shift[3] <= 4; ++shift[3]) {
          if (shift > zero) add(shift);  // the others are these, seen from the other end
        }
      }
    }
  }
  for (int k = 0; k < 4; ++k) {
    for (std::int64_t far = k == 3 ? 8 : 4; far < lattice.size[k]; far *= 2) {
      Place along{};
      along[k] = far;
      add(along);
    }
  }
}

}  // namespace felbo::statistics
