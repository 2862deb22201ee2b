// Every likelihood, posterior and prior against numerical integration: with one latent dimension log p(x) is
// an integral over a line, which is taken in double by the references.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "host/evaluate/annealed.h"
#include "host/evaluate/evaluate.h"
#include "host/evaluate/simulate.h"
#include "host/model/latent_reference.h"
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
      case Observations::kLevels:
        x = std::round(static_cast<float>(which.categories - 1) * level) /
            static_cast<float>(which.categories - 1);
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
  explicit Model(const Likelihood& which, const Posterior& posterior = {}, const Prior& prior = {})
      : vae({.dimensions = kDimensions,
             .latent = 1,
             .hidden = {4},
             .activation = Activation::kTanh,
             .likelihood = which,
             .posterior = posterior,
             .prior = prior}),
        flat(static_cast<std::size_t>(vae.table().size())) {
    std::uint64_t seed = 40;
    for (const ParameterEntry& entry : vae.table().entries()) {
      if (!entry.name.starts_with("encoder")) test::fill_normal(matrix_of(view(), entry), ++seed, 0.6f);
    }
    const Layer& last = vae.encoder().layers().back();
    const View<float, 1> bias = vector_of(view(), vae.table()[last.bias]);
    bias(1) = 2.0f * std::log(prior.is_standard() ? 1.5f : 2.5f);
    for (std::int64_t i = 2; i < bias.size; ++i) bias(i) = 0.3f * static_cast<float>(1 + i % 3);  // a flow's
    if (prior.family != PriorFamily::kVamp) return;
    // Pseudo-inputs are told apart.
    for (const int weight : {vae.encoder().layers().front().weight, last.weight})
      test::fill_normal(matrix_of(view(), vae.table()[weight]), ++seed, 0.2f);
  }
  View<float, 1> view() { return {flat.data(), vae.table().size()}; }

  Vae vae;
  std::vector<float> flat;
};

/// p(z) as a mixture; of a VampPrior, by its encoder.
reference::Mixture<double> prior_of(Model& model) {
  const Vae& vae = model.vae;
  reference::LatentPoint point{{}, {}, {model.flat.begin(), model.flat.end()}};
  if (vae.pseudo_rows() > 0) {
    const CpuExec exec(1);
    const MlpWorkspace<CpuExec> work(exec, vae.encoder(), vae.pseudo_rows(), false);
    const View<const float, 1> parameters = model.view();
    forward(exec, vae.encoder(), parameters, vae.table(),
            View<const float, 2>(vae.pseudo_inputs(parameters).data, vae.pseudo_rows(), kDimensions), work);
    point.pseudo = test::to_double(work.result(vae.encoder(), vae.pseudo_rows()));
  }
  return reference::LatentReference(vae, {}, {}, 0).prior_of(point);
}

/// log of the integral of p(x|z) p(z) dz by the trapezoidal rule, which for a smooth integrand that vanishes
/// at both ends converges faster than any power of the step.
double integrated_log_px(Model& model, const DataPart& data, std::int64_t row) {
  const CpuExec exec(1);
  const auto points = static_cast<std::int64_t>(2 * kReach / kStep) + 1;
  std::vector<float> z;
  for (std::int64_t i = 0; i < points; ++i) z.push_back(static_cast<float>(-kReach + kStep * double(i)));
  const MlpWorkspace<CpuExec> work(exec, model.vae.decoder(), points, false);
  std::vector<float> code = z;
  if (model.vae.config().prior.family == PriorFamily::kUniform) {
    for (float& value : code) value = static_cast<float>(std::erfc(-double{value} / std::sqrt(2.0)) / 2);
  }
  forward(exec, model.vae.decoder(), View<const float, 1>(model.view()), model.vae.table(),
          View<const float, 2>(code.data(), points, 1), work);
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
  const reference::Mixture<double> prior = prior_of(model);
  double largest = -HUGE_VAL, sum = 0;
  std::vector<double> terms;
  for (std::size_t i = 0; i < z.size(); ++i) {
    const double at = double{z[i]};
    terms.push_back(log_px_given_z[i] + reference::mixture_log_density(prior, &at));
    largest = std::max(largest, terms.back());
  }
  for (const double term : terms) sum += std::exp(term - largest);
  return largest + std::log(sum * kStep);
}

/// The bound of 8192 samples is the integral, and the ELBO below it; its standard error has to be below
/// `most`.
void expect_integral(Model& model, double most) {
  const DataPart part = data_of(model.vae.config().likelihood);
  const CpuExec exec(2);
  const ResidentData<CpuExec> data(exec, part);
  const Evaluation got =
      evaluate(exec, model.vae, View<const float, 1>(model.view()), data, {.samples = 8192, .seed = 3});
  for (std::int64_t row = 0; row < kData; ++row) {
    const auto at = static_cast<std::size_t>(row);
    const double error = got.weights_of_datum[at].standard_error;
    EXPECT_LT(error, most);
    EXPECT_NEAR(got.log_px_of_datum[at], integrated_log_px(model, part, row), 6 * error + 1e-4) << row;
    EXPECT_LT(got.elbo_of_datum[at], got.log_px_of_datum[at]) << row;
  }
}

// With 8192 weights the estimate's own standard error is about 0.01 nats; six of them, and 1e-4 for the
// floats, are far below what a lost constant or factor would change.
TEST(Quadrature, TheBoundIsTheIntegralForEveryLikelihood) {
  for (const char* name :
       {"bernoulli", "continuous-bernoulli", "gaussian", "laplace", "student-t", "discretized-logistic",
        "poisson", "negative-binomial", "zero-inflated-negative-binomial", "categorical", "multinomial"}) {
    const bool has_variance = likelihood_from_names(name, "unit", {}).has_variance();
    for (const char* variance : {"unit", "fixed:0.3", "learned", "per-dimension", "per-element"}) {
      if (!has_variance && std::string(variance) != "unit") continue;
      SCOPED_TRACE(std::string(name) + " " + variance);
      Model model(likelihood_from_names(name, variance, {}, 5.0f, 4));
      expect_integral(model, 0.04);
    }
  }
}

// The importance-weighted bound, and the ELBO below it, for every posterior and prior. q is wider than the
// priors too.
TEST(Quadrature, TheBoundIsTheIntegralForEveryPosteriorAndPrior) {
  for (const PosteriorFamily posterior :
       {PosteriorFamily::kDiagonalGaussian, PosteriorFamily::kIsotropicGaussian,
        PosteriorFamily::kFullCovarianceGaussian, PosteriorFamily::kPlanarFlow}) {
    for (const PriorFamily prior : {PriorFamily::kStandardNormal, PriorFamily::kDiagonalGaussian,
                                    PriorFamily::kUniform, PriorFamily::kMixture, PriorFamily::kVamp}) {
      if (prior == PriorFamily::kVamp && posterior != PosteriorFamily::kDiagonalGaussian) continue;
      SCOPED_TRACE(testing::Message() << "posterior " << int(posterior) << ", prior " << int(prior));
      Model model(likelihood_from_names("gaussian", "unit", {}), {.family = posterior, .flow_steps = 2},
                  {.family = prior, .components = 3});
      expect_integral(model, 0.05);
    }
  }
}

// Annealing from every prior that it knows, and back from draws of the model: the integral is between. 400
// chains leave a standard error of about 0.01.
TEST(Quadrature, AnnealingIsTheIntegralForEveryPrior) {
  for (const PriorFamily prior : {PriorFamily::kStandardNormal, PriorFamily::kDiagonalGaussian,
                                  PriorFamily::kMixture, PriorFamily::kVamp}) {
    SCOPED_TRACE(testing::Message() << "prior " << int(prior));
    Model model(likelihood_from_names("gaussian", "unit", {}), {}, {.family = prior, .components = 3});
    const DataPart part = data_of(model.vae.config().likelihood);
    const CpuExec exec(2);
    const ResidentData<CpuExec> data(exec, part);
    const AnnealedEvaluation got = anneal(exec, model.vae, View<const float, 1>(model.view()), data,
                                          {.temperatures = 50, .chains = 400, .leapfrog = 3, .seed = 4});
    for (std::int64_t row = 0; row < kData; ++row) {
      const auto at = static_cast<std::size_t>(row);
      const double error = got.weights_of_datum[at].standard_error;
      EXPECT_LT(error, 0.05);
      EXPECT_NEAR(got.log_px_of_datum[at], integrated_log_px(model, part, row), 6 * error + 1e-4) << row;
    }
    const SimulatedData simulated = simulate(exec, model.vae, View<const float, 1>(model.view()), 20, 8);
    const ResidentData<CpuExec> own(exec, simulated.data);
    const AnnealedEvaluation both =
        anneal(exec, model.vae, View<const float, 1>(model.view()), own,
               {.temperatures = 50, .chains = 20, .leapfrog = 3, .seed = 4}, {}, simulated.z);
    EXPECT_NEAR(both.sandwich.mean, 0.0, 0.1);
    EXPECT_GT(both.sandwich.mean, -4 * both.sandwich.standard_error);
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
