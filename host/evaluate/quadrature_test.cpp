// Every likelihood against numerical integration: with one latent dimension log p(x) is an integral over a
// line, which is taken in double by the reference of the likelihood.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "host/evaluate/evaluate.h"
#include "kernels/likelihood/likelihood_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

constexpr std::int64_t kDimensions = 5, kData = 4;
constexpr double kReach = 12.0, kStep = 0.004;  // of the prior, 1e-32 lies beyond

/// Data that the family gives a probability.
DataPart data_of(const Likelihood& which) {
  DataPart part{
      .rows = kData, .cols = kDimensions, .shape = {}, .bytes = {}, .floats = {}, .exact_log_px = {}};
  part.floats.resize(kData * kDimensions);
  test::fill_normal({part.floats.data(), kData, kDimensions}, 7);
  for (float& x : part.floats) {
    const float level = std::clamp(0.5f + 0.3f * x, 0.0f, 1.0f);
    switch (which.observations()) {
      case Observations::kReal:
        break;
      case Observations::kUnitInterval:
        x = which.family == LikelihoodFamily::kBernoulli ? std::round(level) : level;
        break;
      case Observations::kGrey:
        x = std::round(255.0f * level) / 255.0f;
        break;
      case Observations::kCounts:
        x = std::round(4.0f * level) - 1.0f > 0.0f ? std::round(4.0f * level) - 1.0f : 0.0f;
        break;
    }
  }
  return part;
}

/// A decoder of one hidden layer, and q(z|x) = N(0, 1.5^2) for all x: wider than the prior and so than any
/// posterior, so that the weights are bounded.
struct Model {
  explicit Model(const Likelihood& which)
      : vae({.dimensions = kDimensions,
             .latent = 1,
             .hidden = {4},
             .activation = Activation::kTanh,
             .likelihood = which}),
        flat(static_cast<std::size_t>(vae.table().size())) {
    std::uint64_t seed = 40;
    for (const ParameterEntry& entry : vae.table().entries()) {
      if (!entry.name.starts_with("encoder")) test::fill_normal(matrix_of(view(), entry), ++seed, 0.6f);
    }
    const Layer& last = vae.encoder().layers().back();
    vector_of(view(), vae.table()[last.bias])(1) = 2.0f * std::log(1.5f);
  }
  View<float, 1> view() { return {flat.data(), vae.table().size()}; }

  Vae vae;
  std::vector<float> flat;
};

/// log of the integral of p(x|z) p(z) dz by the trapezoidal rule, which for a smooth integrand that vanishes
/// at both ends converges faster than any power of the step.
double integrated_log_px(Model& model, const DataPart& data, std::int64_t row) {
  const CpuExec exec(1);
  const auto points = static_cast<std::int64_t>(2 * kReach / kStep) + 1;
  std::vector<float> z;
  for (std::int64_t i = 0; i < points; ++i) z.push_back(static_cast<float>(-kReach + kStep * double(i)));
  const MlpWorkspace<CpuExec> work(exec, model.vae.decoder(), points, false);
  forward(exec, model.vae.decoder(), View<const float, 1>(model.view()), model.vae.table(),
          View<const float, 2>(z.data(), points, 1), work);
  const View<float, 1> own = model.vae.own(model.view());
  const auto x = data.floats.begin() + row * kDimensions;
  const auto log_px_given_z =
      reference::likelihood<double>(model.vae.config().likelihood,
                                    {1,
                                     points,
                                     kDimensions,
                                     {x, x + kDimensions},
                                     test::to_double(work.result(model.vae.decoder(), points)),
                                     {own.begin(), own.end()},
                                     1.0})
          .log_px_given_z;
  double largest = -HUGE_VAL, sum = 0;
  std::vector<double> terms;
  for (std::size_t i = 0; i < z.size(); ++i) {
    const double at = double{z[i]};
    terms.push_back(log_px_given_z[i] - (at * at + std::log(2 * std::numbers::pi)) / 2);
    largest = std::max(largest, terms.back());
  }
  for (const double term : terms) sum += std::exp(term - largest);
  return largest + std::log(sum * kStep);
}

// With 8192 weights the estimate's own standard error is about 0.01 nats; six of them, and 1e-4 for the
// floats, are far below what a lost constant or factor would change.
TEST(Quadrature, TheBoundIsTheIntegralForEveryLikelihood) {
  for (const char* name :
       {"bernoulli", "continuous-bernoulli", "gaussian", "laplace", "student-t", "discretized-logistic",
        "poisson", "negative-binomial", "zero-inflated-negative-binomial"}) {
    const bool has_variance = likelihood_from_names(name, "unit", {}).has_variance();
    for (const char* variance : {"unit", "fixed:0.3", "learned", "per-dimension", "per-element"}) {
      if (!has_variance && std::string(variance) != "unit") continue;
      SCOPED_TRACE(std::string(name) + " " + variance);
      Model model(likelihood_from_names(name, variance, {}));
      const DataPart part = data_of(model.vae.config().likelihood);
      const CpuExec exec(2);
      const ResidentData<CpuExec> data(exec, part);
      const Evaluation got =
          evaluate(exec, model.vae, View<const float, 1>(model.view()), data, {.samples = 8192, .seed = 3});
      for (std::int64_t row = 0; row < kData; ++row) {
        const auto at = static_cast<std::size_t>(row);
        const double error = got.weights_of_datum[at].standard_error;
        EXPECT_LT(error, 0.04);
        EXPECT_NEAR(got.log_px_of_datum[at], integrated_log_px(model, part, row), 6 * error + 1e-4) << row;
        EXPECT_LT(got.elbo_of_datum[at], got.log_px_of_datum[at]) << row;
      }
    }
  }
}

// A standard normal z and a Gaussian whose mean does not depend on it: the integral is the density itself.
TEST(Quadrature, OfADensityThatDoesNotDependOnZ) {
  Model model(likelihood_from_names("gaussian", "unit", {}));
  for (const ParameterEntry& entry : model.vae.table().entries()) {
    if (entry.name.starts_with("decoder")) test::fill_normal(matrix_of(model.view(), entry), 1, 0.0f);
  }
  const DataPart part = data_of(model.vae.config().likelihood);
  double want = 0;
  for (std::int64_t j = 0; j < kDimensions; ++j) {
    const double x = double{part.floats[static_cast<std::size_t>(j)]};
    want -= (x * x + std::log(2 * std::numbers::pi)) / 2;
  }
  EXPECT_NEAR(integrated_log_px(model, part, 0), want, 1e-6);
}

}  // namespace
}  // namespace felbo
