// The families of unit.h, one element at a time: golden values of their reference, extremes, and what must
// sum to one. Their rows are tested with those of all families in likelihood_test.cpp.
#include "kernels/likelihood/unit.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "host/check/tolerance.h"
#include "kernels/likelihood/likelihood_reference.h"
#include "kernels/likelihood/test_problem.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::evaluate;
using test::kEps;
using test::OneElement;
using test::Parity;
using test::Problem;

constexpr const char* kWithVariance[] = {"laplace", "student-t", "discretized-logistic", "negative-binomial",
                                         "zero-inflated-negative-binomial"};

Likelihood unit(const std::string& family, const std::string& variance = "unit", float nu = 5.0f) {
  return likelihood_from_names(family, variance, {}, nu);
}

// --- The reference, against mpmath with 60 digits: log p by the formulas in the headers, its derivatives
// numerically.

struct Golden {
  double x;
  std::vector<double> at;  // locations, then log_var where there is one
  double log_p;
  std::vector<double> grad;
};

/// Differences of logistic functions and sums of a million logarithms lose digits, though none of a float's.
void expect_golden(const Likelihood& which, const std::vector<Golden>& golden) {
  const auto locations = static_cast<std::size_t>(which.locations());
  for (const Golden& g : golden) {
    const auto e =
        reference::unit_element(which, g.x, g.at.data(), g.at.size() > locations ? g.at.back() : 0.0);
    const bool loses = which.family == LikelihoodFamily::kDiscretizedLogistic ||
                       which.family == LikelihoodFamily::kNegativeBinomial;
    const double relative = loses ? 1e-8 : 1e-12;
    EXPECT_LE(std::abs(e.log_p - g.log_p), relative * e.scale) << g.x << " " << g.at[0];
    for (std::size_t k = 0; k < g.grad.size(); ++k) {
      EXPECT_LE(std::abs(e.grad[k] - g.grad[k]), relative * e.grad_scale[k])
          << g.x << " " << g.at[0] << " " << k;
    }
  }
}

TEST(UnitReference, LaplaceGoldenValues) {
  expect_golden(
      unit("laplace"),
      {{0.5, {-1.5, -2}, -5.129710837478035780138, {2.71828182845904523536, 2.21828182845904523536}},
       {0.125, {0.25, 3}, -2.221038450578499038034, {-0.2231301601484298289333, -0.4860543649907231356917}},
       {3, {-4, -20}, -154175.953710827575564, {22026.46579480671651696, 77092.13028182350780935}},
       {1e6, {-1e6, 20}, -101.4930067055296483806, {0.00004539992976248485153559, 44.89992976248485153559}}});
}

TEST(UnitReference, StudentTGoldenValues) {
  expect_golden(
      unit("student-t", "unit", 5),
      {{0.5, {-1.5, -2}, -5.768068922229200427023, {2.565924800457751603674, 2.065924800457751603674}},
       {0.125, {0.25, 3}, -2.469086306514592240091, {-0.007466898520844737699698, -0.4995333188424472038938}},
       {1e4, {-3, -20}, -101.4041478136635075791, {0.0005998200539838047967634, 2.499999999999999691012}}});
  expect_golden(
      unit("student-t", "unit", 0.5),
      {{0.5, {-1.5, -2}, -3.382695641955092517565, {0.7375233830083672295786, 0.2375233830083672295786}},
       {0.125, {0.25, 3}, -2.8116989035206676616, {-0.01864114788469302006377, -0.498834928257206686246}},
       {1e4, {-3, -20}, -20.64635380180923957538, {0.0001499550134959512130911, 0.2499999999999999922753}}});
  expect_golden(
      unit("student-t", "unit", 200),
      {{0.5, {-1.5, -2}, -13.77216577990891904001, {12.93975173005794511419, 12.43975173005794511419}},
       {0.125, {0.25, 3}, -2.420579433515242266979, {-0.006254476136210486064515, -0.499609095241486844621}},
       {1e4, {-3, -20}, -3319.777998913940546629, {0.02009397180845737997732, 99.99999999999958595659}}});
}

TEST(UnitReference, DiscretizedLogisticGoldenValues) {
  const auto level = [](int k) { return k / 255.0; };
  expect_golden(
      unit("discretized-logistic"),
      {{level(0), {0.25, -4}, -1.981168898430006373666, {-6.370046573957469189298, 0.7900106780447253455355}},
       {level(1), {0.25, -4}, -5.660348710715879004894, {-5.325313507896518211086, 0.155212631584403529701}},
       {level(128),
        {0.5, -6},
        -3.928074736793891279146,
        {0.3953140618164812115768, -0.4994833564363337152392}},
       {level(100), {-1.5, -8}, -104.8476184169151561188, {54.59815003314423907811, 51.15222346121969628959}},
       {level(3),
        {0.75, 20},
        -16.92755790655914514898,
        {-7.608081752700710150437e-10, -0.499999999719171616109}},
       {level(200),
        {0.78, -20},
        -51.82697834072109901931,
        {22026.46579480671651696, 25.91348917036054950965}},
       {level(37),
        {30, -20},
        -657554.7876979063901386,
        {-22026.46579480671651696, 328777.3938489531950693}}});
}

TEST(UnitReference, ContinuousBernoulliGoldenValues) {
  expect_golden(unit("continuous-bernoulli"),
                {{0.25, {0}, 0, {-0.25}},
                 {0.25, {1.5}, -0.4670524329663816219838, {-0.3705502501222015776701}},
                 {1, {2.5}, 1.001941215616193246353, {0.3105745101661479866147}},
                 {0, {-2.5}, 1.001941215616193246353, {-0.3105745101661479866147}},
                 {0.75, {-0.96875}, -0.2809893550510507125385, {0.3294940276252737107748}},
                 {0.75, {1.03125}, 0.2138871791496429930238, {0.1655481382632272577848}},
                 {1, {1e4}, 9.210340371976182736072, {0.0001}},
                 {0, {1e4}, -9990.789659628023817264, {-0.9999}},
                 {0.5, {-1e4}, -4990.789659628023817264, {0.4999}}});
}

TEST(UnitReference, PoissonGoldenValues) {
  expect_golden(unit("poisson"), {{0, {-3}, -0.04978706836786394297934, {-0.04978706836786394297934}},
                                  {1, {0.5}, -1.148721270700128146849, {-0.6487212707001281468487}},
                                  {7, {2}, -1.914217459996064527396, {-0.3890560989306502272304}},
                                  {40, {3.75}, -2.841721714820178484572, {-2.521082000062783055518}},
                                  {1e6, {13.8125}, -12.35387926610834961563, {3006.03077890351590146}},
                                  {3, {-25}, -76.79175946924194294468, {2.999999999986112056135}}});
}

TEST(UnitReference, NegativeBinomialGoldenValues) {
  expect_golden(
      unit("negative-binomial"),
      {{0, {-3, 0.5}, -0.04784904258501448327316, {-0.04601031197288455964167, 0.00183873061212992363149}},
       {1, {0.5, -1}, -1.262751835567556931373, {-0.4038026082964190175708, -0.1151277569089687670705}},
       {7, {2, -3}, -2.062021728344446845633, {-0.2844227986915757163632, -0.1290539147816228895941}},
       {7, {2, -20}, -1.914217467054109262315, {-0.3890560930053338112022, -7.058044687689005787514e-9}},
       {40, {3.75, 20}, -23.68887949623807667887, {-1.222061399245318278941e-10, -0.9999999599370132429302}},
       {1e6, {13.8125, -8}, -10.74944750017279545264, {8.961076138862590640321, -0.485099864844537439152}},
       {1e6, {10, 2}, -21.65003774253320950417, {6.008840150501715179611, 4.712490681899883253735}},
       {3, {-25, 6}, -64.09489801165687422919, {2.999999983177722837775, 1.996289518098340230472}},
       {0, {12, -20}, -162727.498447664670627, {-162700.2115784675134122, 27.28686919715721485166}}});
}

TEST(UnitReference, ZeroInflatedNegativeBinomialGoldenValues) {
  expect_golden(unit("zero-inflated-negative-binomial"),
                {{0,
                  {-3, 0.25, 0.5},
                  -0.02066825381849639338031,
                  {-0.01960422954451957743975, 0.01174011250137005738128, 0.0007834525662850031945326}},
                 {0,
                  {5, -12, -1},
                  -10.62947715888138166328,
                  {-1.991438324294703078184, 0.2539664320754236021385, 6.157019304705221310093}},
                 {0,
                  {5, 40, -1},
                  -4.248277580093094500062e-18,
                  {-2.046760265692293287826e-22, 4.248277580093094491038e-18, 6.328060635487769544892e-22}},
                 {0,
                  {0.5, -1, 1},
                  -0.415680592054310200199,
                  {-0.1781892057893714476282, 0.1386128819641095086146, 0.1926314222403992057625}},
                 {7,
                  {2, 1.5, -3},
                  -3.763435006327199255133,
                  {-0.2844227986915757163632, -0.8175744761936436596072, -0.1290539147816228895941}},
                 {1,
                  {-2, 30, 4},
                  -34.1658840564356627818,
                  {0.1030705608076224199865, -0.9999999999999064237703, -0.8579733937997808708866}}});
}

// --- The fast path where arguments are extreme

/// Every x with every pair of numbers from the lists: finite, and the reference's within its tolerance.
void expect_extremes(const std::string& family, const std::vector<float>& xs,
                     const std::vector<float>& locations, const std::vector<float>& second,
                     const LogVarClamp& clamp = {}) {
  Parity parity;
  // What underflows in a negative binomial's gradient is multiplied by 1 / alpha.
  const double smallest = test::kTiny * std::exp(-static_cast<double>(clamp.lo));
  const Likelihood which =
      likelihood_from_names(family, unit(family).has_variance() ? "per-element" : "unit", clamp);
  const std::vector<float> log_vars =
      which.has_variance() ? std::vector<float>{-1e4f, clamp.lo, -6, -1, 0, 0.7f, 3, clamp.hi, 1e4f}
                           : std::vector<float>{0};
  for (const float x : xs) {
    for (const float location : locations) {
      for (const float b : second) {
        for (const float log_var : log_vars) {
          std::vector<float> output{location};
          if (which.locations() == 2) output.push_back(b);
          if (which.has_variance()) output.push_back(log_var);
          const auto want =
              reference::likelihood<double>(which, {1, 1, 1, {x}, {output.begin(), output.end()}, {}, 1.0});
          const OneElement got = evaluate(which, x, output);
          const std::string what = fmt::format("{} x {} at {} {} {}", family, x, location, b, log_var);
          parity.element(what, 0, 0, got.log_px, want.log_px_given_z[0],
                         (checks::element_k(which) + 1) * kEps * want.log_px_scale[0] + test::kTiny);
          for (std::size_t k = 0; k < output.size(); ++k) {
            parity.element(what + " grad", 0, static_cast<std::int64_t>(k), got.grad[k], want.grad_output[k],
                           checks::output_gradient_k(which) * kEps * want.grad_scale[k] + smallest);
          }
          parity.element(what + " clamped", 0, 0, got.clamped, want.clamped[0], 0.0);
        }
      }
    }
  }
  FELBO_EXPECT_PARITY(parity);
}

TEST(Unit, IsRightFarOut) {
  for (const char* family : {"laplace", "student-t"}) {
    expect_extremes(family, {0, 0.5f, -3, 1e4f, -1e4f, 1e15f}, {0, 0.5f, 1e4f, -1e4f, 1e15f, -1e-20f}, {0});
  }
  const float grey = 1.0f / 255.0f;
  expect_extremes("discretized-logistic", {0, grey, 0.5f, 128 * grey, 254 * grey, 1},
                  {0, grey, 0.5f, 1, -3, 30, 1e4f, -1e4f}, {0});
  expect_extremes(
      "continuous-bernoulli", {0, 0.25f, 0.5f, 1},
      {0, 1e-30f, 1e-6f, -1e-3f, 0.3f, -0.999f, 1, -1, 1.001f, 5, -40, 88, -100, 1e4f, -1e4f, 1e6f}, {0});
}

TEST(Unit, CountsAreRightFarOut) {
  const std::vector<float> counts{0, 1, 2, 3, 7, 8, 40, 1000, 20000, 1e6f};
  const std::vector<float> log_means{-1e4f, -30,  -12,  -1,    0,     0.7f, 1.9f, 2.1f,
                                     3.6f,  6.9f, 9.9f, 13.8f, 14.5f, 30,   1e4f};
  expect_extremes("poisson", counts, log_means, {0});
  expect_extremes("negative-binomial", counts, log_means, {0}, {-20, 20});
  expect_extremes("negative-binomial", {0, 1, 9, 1000}, log_means, {0}, {-40, 40});
  expect_extremes("zero-inflated-negative-binomial", {0, 1, 9, 1000}, log_means,
                  {-1e4f, -100, -20, -1, 0, 0.3f, 4, 30, 100, 1e4f}, {-20, 20});
}

// The dispersion falls away: log p, and the derivative by the log mean, are a Poisson's.
TEST(Unit, NegativeBinomialWithoutDispersionIsPoisson) {
  const Likelihood poisson = unit("poisson");
  const Likelihood nb = likelihood_from_names("negative-binomial", "per-element", {-40, 40});
  for (const float x : {0.0f, 1.0f, 5.0f, 30.0f, 1000.0f}) {
    for (const float l : {-3.0f, 0.0f, 1.7f, 3.3f, 7.0f}) {
      const OneElement want = evaluate(poisson, x, {l}), got = evaluate(nb, x, {l, -40});
      EXPECT_NEAR(got.log_px, want.log_px, 8 * kEps * (1 + std::abs(want.log_px))) << x << " " << l;
      EXPECT_NEAR(got.grad[0], want.grad[0], 8 * kEps * (x + std::exp(l))) << x << " " << l;
    }
  }
}

TEST(Unit, ContinuousBernoulliIsUniformAtZero) {
  for (const float x : {0.0f, 0.3f, 0.5f, 1.0f}) {
    const OneElement e = evaluate(unit("continuous-bernoulli"), x, {0.0f});
    EXPECT_EQ(e.log_px, 0.0f);
    EXPECT_EQ(e.grad[0], x - 0.5f);
  }
}

// --- Normalisation: the probabilities of everything there is to observe.

/// Sum of p(x) over x = first, first + step, ..., `count` of them.
double total_probability(const Likelihood& which, const std::vector<float>& output, std::int64_t count,
                         float step) {
  Problem p(which, {count, 1, 1});
  for (std::int64_t i = 0; i < count; ++i) {
    p.x.matrix()(i, 0) = static_cast<float>(i) * step;
    for (std::size_t k = 0; k < output.size(); ++k)
      p.output.matrix()(i, static_cast<std::int64_t>(k)) = output[k];
  }
  likelihood(test::exec(1), which, p.args(false));
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(p.log_px.vector()(i)));
  return sum;
}

TEST(Unit, ProbabilitiesSumToOne) {
  const double tolerance =
      40 * kEps;  // each term within some eps of itself and of the larger terms of its logarithm
  for (const float log_var : {-14.0f, -7.0f, -3.0f, 0.0f, 5.0f}) {
    for (const float m : {-0.2f, 0.0f, 0.31f, 0.998f, 1.3f}) {
      EXPECT_NEAR(
          total_probability(unit("discretized-logistic", "per-element"), {m, log_var}, 256, 1.0f / 255.0f), 1,
          tolerance)
          << m << " " << log_var;
    }
  }
  for (const float l : {-4.0f, 0.0f, 2.0f, 5.0f}) {
    EXPECT_NEAR(total_probability(unit("poisson"), {l}, 400, 1), 1, tolerance) << l;
    for (const float log_alpha : {-18.0f, -3.0f, -0.3f}) {
      EXPECT_NEAR(total_probability(unit("negative-binomial", "per-element"), {l, log_alpha}, 6000, 1), 1,
                  tolerance)
          << l << " " << log_alpha;
      EXPECT_NEAR(total_probability(unit("zero-inflated-negative-binomial", "per-element"),
                                    {l, 0.4f, log_alpha}, 6000, 1),
                  1, tolerance)
          << l << " " << log_alpha;
    }
  }
}

/// The integral of p(x) over [lo, hi], by the midpoints of `count` intervals.
double integral(const Likelihood& which, const std::vector<float>& output, double lo, double hi,
                std::int64_t count) {
  Problem p(which, {count, 1, 1});
  const double width = (hi - lo) / static_cast<double>(count);
  for (std::int64_t i = 0; i < count; ++i) {
    p.x.matrix()(i, 0) = static_cast<float>(lo + (static_cast<double>(i) + 0.5) * width);
    for (std::size_t k = 0; k < output.size(); ++k)
      p.output.matrix()(i, static_cast<std::int64_t>(k)) = output[k];
  }
  likelihood(test::exec(1), which, p.args(false));
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum += width * std::exp(static_cast<double>(p.log_px.vector()(i)));
  return sum;
}

// What the midpoint rule and the tails leave is below 1e-3; a lost constant is not.
TEST(Unit, DensitiesIntegrateToOne) {
  EXPECT_NEAR(integral(unit("laplace", "per-element"), {0.5f, 1.0f}, -40, 41, 4096), 1, 1e-3);
  EXPECT_NEAR(integral(unit("student-t", "per-element", 3.0f), {0.5f, 1.0f}, -60, 61, 4096), 1, 1e-3);
  for (const float l : {-7.0f, -0.5f, 0.0f, 0.9f, 1.1f, 20.0f}) {
    EXPECT_NEAR(integral(unit("continuous-bernoulli"), {l}, 0, 1, 4096), 1, 1e-3) << l;
  }
}

// --- The clamp of log means

TEST(Unit, LogMeansAreClampedForwardAndBackwardTogether) {
  for (const auto& [family, rest] : {std::pair{"poisson", std::vector<float>{}},
                                     {"negative-binomial", {-1.0f}},
                                     {"zero-inflated-negative-binomial", {0.3f, -1.0f}}}) {
    const Likelihood which = unit(family, rest.empty() ? "unit" : "per-element");
    const auto at = [&, &rest = rest](float l) {
      std::vector<float> output{l};
      output.insert(output.end(), rest.begin(), rest.end());
      return evaluate(which, 3.0f, output);
    };
    for (const float bound : {-30.0f, 30.0f}) {
      const OneElement inside = at(bound);
      EXPECT_EQ(inside.clamped, 0) << family;
      EXPECT_NE(inside.grad[0], 0.0f) << family;
      for (const float beyond : {std::nextafter(bound, 2 * bound), 1e4f * bound}) {
        const OneElement outside = at(beyond);
        EXPECT_EQ(outside.clamped, 1) << family << " " << beyond;
        EXPECT_EQ(outside.grad[0], 0.0f) << family << " " << beyond;
        EXPECT_EQ(outside.log_px, inside.log_px) << family << " " << beyond;
      }
    }
  }
}

TEST(Unit, EachClampedOutputCounts) {
  EXPECT_EQ(evaluate(unit("negative-binomial", "per-element"), 3, {31, 21}).clamped, 2);
  EXPECT_EQ(evaluate(unit("zero-inflated-negative-binomial", "per-element"), 0, {-31, 1e4f, -21}).clamped, 2);
}

// --- What the families say of themselves

TEST(UnitNames, GiveOutputsAndOwnParameters) {
  for (const char* family : kWithVariance) {
    const int locations = std::string(family) == "zero-inflated-negative-binomial" ? 2 : 1;
    EXPECT_TRUE(unit(family).has_variance());
    EXPECT_EQ(unit(family, "unit").outputs(), locations);
    EXPECT_EQ(unit(family, "learned").own_parameters(784), 1);
    EXPECT_EQ(unit(family, "per-dimension").own_parameters(784), 784);
    EXPECT_EQ(unit(family, "per-element").outputs(), locations + 1);
    EXPECT_EQ(unit(family, "per-element").own_parameters(784), 0);
  }
  for (const char* family : {"continuous-bernoulli", "poisson"}) {
    EXPECT_FALSE(unit(family, "learned").has_variance());
    EXPECT_EQ(unit(family, "per-element").outputs(), 1);
    EXPECT_EQ(unit(family, "learned").own_parameters(784), 0);
    EXPECT_EQ(likelihood_scratch(unit(family, "learned"), 128, 784), 0);
  }
}

void expect_refused(const std::string& family, LogVarClamp clamp, float nu, const std::string& part) {
  try {
    likelihood_from_names(family, "learned", clamp, nu);
    FAIL() << "nothing was thrown; expected: " << part;
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(UnitNames, RefuseWhatCannotBeComputedWith) {
  for (const float nu : {0.0f, -1.0f, 1e-4f, 1e7f, test::kNan})
    expect_refused("student-t", {}, nu, "degrees of freedom must lie in [0.001, 1000000], got");
  expect_refused("negative-binomial", {-50, 20}, 5, "the bounds of log-dispersions must lie in [-40, 40]");
  expect_refused("laplace", {-90, 20}, 5, "the bounds of log-variances must lie in [-80, 80]");
}

}  // namespace
}  // namespace felbo
