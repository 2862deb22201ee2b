// Several stochastic layers, evaluated and sampled: against numerical integration over h1 and h2, against the
// closed form of linear-Gaussian layers, and against the definition sample by sample.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "host/evaluate/annealed.h"
#include "host/evaluate/evaluate.h"
#include "host/evaluate/generate.h"
#include "host/model/layers_reference.h"
#include "host/oracle/eigen.h"
#include "host/train/model_state.h"
#include "kernels/likelihood/likelihood_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using oracle::Matrix;
using oracle::Vector;
using Values = std::vector<double>;

const double kLog2Pi = std::log(2 * std::numbers::pi);

/// A model with its parameters, and data.
struct Model {
  Model(const VaeConfig& config, float size)
      : vae(config), flat(static_cast<std::size_t>(vae.table().size())) {
    std::uint64_t seed = 40;
    for (const ParameterEntry& entry : vae.table().entries())
      test::fill_normal(matrix_of(view(), entry), ++seed, size);
  }
  View<float, 1> view() { return {flat.data(), vae.table().size()}; }
  View<float, 2> weight(const Mlp& mlp) { return matrix_of(view(), vae.table()[mlp.layers().back().weight]); }
  View<float, 1> bias(const Mlp& mlp) { return vector_of(view(), vae.table()[mlp.layers().back().bias]); }
  Values parameters() const { return {flat.begin(), flat.end()}; }

  Vae vae;
  std::vector<float> flat;
};

DataPart part_of(std::vector<float> values, std::int64_t cols) {
  DataPart part{.rows = static_cast<std::int64_t>(values.size()) / cols,
                .cols = cols,
                .shape = {},
                .bytes = {},
                .floats = std::move(values),
                .exact_log_px = {}};
  return part;
}

ModelState<test::ExecType> on_device(const test::ExecType& exec, const Model& model) {
  ModelState<test::ExecType> state(exec, model.vae);
  upload(exec, model.flat, state.parameters.view());
  return state;
}

Evaluation evaluate_on(Model& model, const DataPart& part, std::int64_t samples, int threads = 2) {
  const test::ExecHandle exec = test::open_exec(threads);
  const ModelState<test::ExecType> state = on_device(exec, model);
  return evaluate<test::ExecType>(exec, model.vae, state.parameters.view(),
                                  ResidentData<test::ExecType>(exec, part), {.samples = samples, .seed = 17});
}

double log_normal(double x, double mean, double log_var) {
  return -(kLog2Pi + log_var + (x - mean) * (x - mean) * std::exp(-log_var)) / 2;
}

// --- Every sample
// -------------------------------------------------------------------------------------------

TEST(Layers, EachSampleHasTheDensitiesOfTheDefinition) {
  for (const std::vector<LayerConfig>& above :
       {std::vector<LayerConfig>{{.latent = 3, .hidden = {6}}},
        std::vector<LayerConfig>{{.latent = 3, .hidden = {6}}, {.latent = 2, .hidden = {}}}}) {
    Model model({.dimensions = 6,
                 .latent = 4,
                 .hidden = {7},
                 .activation = Activation::kTanh,
                 .likelihood = likelihood_from_names("bernoulli", "learned", {}),
                 .above = above},
                0.3f);
    std::vector<float> x(5 * 6);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * i % 3 == 0);
    const DataPart part = part_of(x, 6);
    const std::int64_t K = 300;  // several tiles
    const Evaluation e = evaluate_on(model, part, K);
    const Values flat = model.parameters();
    for (std::size_t n = 0; n < 5; ++n) {
      const Values row(x.begin() + std::int64_t(n) * 6, x.begin() + std::int64_t(n + 1) * 6);
      const Values posterior = reference::perceptron(model.vae, flat, "encoder", row);
      double elbo = 0, weights = 0;
      for (std::uint32_t s = 0; s < K; ++s) {
        const auto h = reference::layered_sample(model.vae, flat, posterior, 17, 0, reference::kHeldOutLayers,
                                                 std::uint32_t(n), s);
        reference::LikelihoodInput<double> in{.data = 1, .samples = 1, .dimensions = 6, .x = row};
        in.output = reference::perceptron(model.vae, flat, "decoder", h.h1);
        const double log_w =
            reference::likelihood(model.vae.config().likelihood, in).log_px_given_z[0] + h.log_p - h.log_q;
        elbo += log_w / double(K);
        weights += std::exp(log_w) / double(K);
      }
      // A mean of sums of some fifty float terms of order 1, on normals right within 3e-6.
      EXPECT_NEAR(e.elbo_of_datum[n], elbo, 5e-6 * (4 + std::abs(elbo))) << n;
      EXPECT_NEAR(e.log_px_of_datum[n], std::log(weights), 5e-6 * (4 + std::abs(elbo))) << n;
    }
    EXPECT_TRUE(e.latent.kl.empty());
    EXPECT_EQ(e.latent.variance_of_mean.size(), 4u);
    // Fewer data: other tiles, the same figures.
    const Evaluation few = evaluate_on(model, part_of({x.begin(), x.begin() + 12}, 6), K, 1);
    for (std::size_t n = 0; n < 2; ++n) {
      const double rounding = 1e-6 * (4 + std::abs(e.elbo_of_datum[n]));
      EXPECT_NEAR(few.elbo_of_datum[n], e.elbo_of_datum[n], rounding);
      EXPECT_NEAR(few.log_px_of_datum[n], e.log_px_of_datum[n], rounding);
    }
    for (const int threads : {1, 3})
      EXPECT_EQ(evaluate_on(model, part, K, threads).log_px_of_datum, e.log_px_of_datum) << threads;
  }
}

// --- Integration over the plane
// -----------------------------------------------------------------------------

constexpr double kReach = 12.0, kStep = 0.03;  // the trapezoidal rule on smooth, narrow integrands: exact

/// log p(x), and the mean and variance of log w under q, by sums over a grid of h1 and h2.
struct Integrals {
  double log_px = 0, elbo = 0, variance = 0;
};
Integrals integrals(const Model& model, const Values& x) {
  const Values flat = model.parameters();
  const auto net = [&](const char* name, Values in) {
    return reference::perceptron(model.vae, flat, name, std::move(in));
  };
  const int points = static_cast<int>(2 * kReach / kStep) + 1;
  const auto at = [](int i) { return -kReach + kStep * i; };
  const Values q1 = net("encoder", x);
  std::vector<Values> below, above;  // p(h1|h2) by h2, q(h2|h1) by h1
  Values log_likelihood;
  for (int i = 0; i < points; ++i) {
    below.push_back(net("decoder2", {at(i)}));
    above.push_back(net("encoder2", {at(i)}));
    reference::LikelihoodInput<double> in{
        .data = 1, .samples = 1, .dimensions = model.vae.config().dimensions, .x = x};
    in.output = net("decoder", {at(i)});
    log_likelihood.push_back(reference::likelihood(model.vae.config().likelihood, in).log_px_given_z[0]);
  }
  double evidence = 0, first = 0, second = 0;
  for (int i = 0; i < points; ++i) {
    const double log_q1 = log_normal(at(i), q1[0], q1[1]);
    for (int j = 0; j < points; ++j) {
      const double log_joint = log_likelihood[std::size_t(i)] + log_normal(at(j), 0, 0) +
                               log_normal(at(i), below[std::size_t(j)][0], below[std::size_t(j)][1]);
      const double log_q = log_q1 + log_normal(at(j), above[std::size_t(i)][0], above[std::size_t(i)][1]);
      evidence += std::exp(log_joint);
      first += std::exp(log_q) * (log_joint - log_q);
      second += std::exp(log_q) * (log_joint - log_q) * (log_joint - log_q);
    }
  }
  const double cell = kStep * kStep;
  return {std::log(evidence * cell), first * cell, second * cell - first * first * cell * cell};
}

TEST(Layers, BoundsAgreeWithIntegrationOverTwoLayers) {
  Model model({.dimensions = 3,
               .latent = 1,
               .hidden = {3},
               .activation = Activation::kTanh,
               .likelihood = likelihood_from_names("bernoulli", "learned", {}),
               .above = {{.latent = 1, .hidden = {3}}}},
              0.4f);
  // Posteriors wider than those of the model, so that the weights are bounded; decoders that matter.
  model.bias(model.vae.encoder())(1) = 1.2f;
  model.bias(model.vae.above()[0].encoder)(1) = 0.8f;
  model.bias(model.vae.above()[0].decoder)(1) = -0.4f;
  for (const Mlp* mlp : {&model.vae.decoder(), &model.vae.above()[0].decoder}) {
    const View<float, 2> weight = model.weight(*mlp);
    for (std::int64_t i = 0; i < weight.rows; ++i) weight(i, 0) *= 2.0f;
  }
  const std::vector<float> x{1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 1};
  const std::int64_t K = 40'000;
  const Evaluation e = evaluate_on(model, part_of(x, 3), K);
  for (std::size_t n = 0; n < 4; ++n) {
    const Integrals want =
        integrals(model, {x.begin() + std::int64_t(3 * n), x.begin() + std::int64_t(3 * n + 3)});
    EXPECT_GT(want.log_px - want.elbo, 0.05) << n;  // there is something to tell apart
    EXPECT_LT(e.weights_of_datum[n].standard_error, 0.02) << n;
    EXPECT_NEAR(e.log_px_of_datum[n], want.log_px, 4 * e.weights_of_datum[n].standard_error) << n;
    EXPECT_NEAR(e.elbo_of_datum[n], want.elbo, 4 * std::sqrt(want.variance / double(K))) << n;
  }
}

// --- Linear layers: p(x) is a Gaussian
// ------------------------------------------------------------------------

constexpr double kVariance = 0.25;

/// h1 = W2 h2 + b2 + D^1/2 e, x = W1 h1 + b1 + sigma e: rows here are dimensions of x or h1.
struct Linear {
  Matrix w1, w2, d;
  Vector b1, b2;

  Matrix prior_covariance() const { return w2 * w2.transpose() + d; }
  Matrix covariance() const {
    return w1 * prior_covariance() * w1.transpose() + kVariance * Matrix::Identity(w1.rows(), w1.rows());
  }
  double log_px(const Vector& x) const {
    const Eigen::LLT<Matrix> c(covariance());
    const Vector u = c.matrixL().solve(x - (w1 * b2 + b1));
    return -(double(x.size()) * kLog2Pi + u.squaredNorm()) / 2 -
           Matrix(c.matrixL()).diagonal().array().log().sum();
  }
};

Model linear_model(std::int64_t X, std::int64_t Z1, std::int64_t Z2) {
  Model model({.dimensions = X,
               .latent = Z1,
               .likelihood = likelihood_from_names("gaussian", "fixed:0.25", {}),
               .above = {{.latent = Z2, .hidden = {}}}},
              0.6f);
  const LayerAbove& above = model.vae.above()[0];
  for (std::int64_t i = 0; i < Z2; ++i) {
    for (std::int64_t j = 0; j < Z1; ++j) model.weight(above.decoder)(i, Z1 + j) = 0.0f;
  }
  return model;
}

Linear linear_of(Model& model) {
  const std::int64_t X = model.vae.config().dimensions, Z1 = model.vae.config().latent,
                     Z2 = model.vae.above()[0].latent;
  const Mlp &low = model.vae.decoder(), &high = model.vae.above()[0].decoder;
  Linear l{Matrix(X, Z1), Matrix(Z1, Z2), Matrix::Zero(Z1, Z1), Vector(X), Vector(Z1)};
  for (std::int64_t j = 0; j < X; ++j) {
    l.b1(j) = double(model.bias(low)(j));
    for (std::int64_t i = 0; i < Z1; ++i) l.w1(j, i) = double(model.weight(low)(i, j));
  }
  for (std::int64_t j = 0; j < Z1; ++j) {
    l.b2(j) = double(model.bias(high)(j));
    l.d(j, j) = std::exp(double(model.bias(high)(Z1 + j)));
    for (std::int64_t i = 0; i < Z2; ++i) l.w2(j, i) = double(model.weight(high)(i, j));
  }
  return l;
}

/// Of a symmetric positive definite matrix.
Matrix inverse(const Matrix& m) { return Eigen::LLT<Matrix>(m).solve(Matrix::Identity(m.rows(), m.rows())); }

/// q of a layer with the mean A in + c of the exact posterior and its variances, `wider` times.
void set_posterior(Model& model, const Mlp& mlp, const Matrix& a, const Vector& c, const Matrix& covariance,
                   double wider) {
  for (Eigen::Index i = 0; i < a.rows(); ++i) {
    for (Eigen::Index j = 0; j < a.cols(); ++j) {
      model.weight(mlp)(j, i) = static_cast<float>(a(i, j));
      model.weight(mlp)(j, a.rows() + i) = 0.0f;
    }
    model.bias(mlp)(i) = static_cast<float>(c(i));
    model.bias(mlp)(a.rows() + i) = static_cast<float>(std::log(wider * covariance(i, i)));
  }
}

/// q(h1|x) and q(h2|h1) with the moments of p(h1|x) and p(h2|h1), which with one dimension each are exact.
void set_posteriors(Model& model, const Linear& l, double wider) {
  const Matrix prior = inverse(l.prior_covariance());
  const Matrix first = inverse(prior + l.w1.transpose() * l.w1 / kVariance);
  set_posterior(model, model.vae.encoder(), first * l.w1.transpose() / kVariance,
                first * (prior * l.b2 - l.w1.transpose() * l.b1 / kVariance), first, wider);
  const Matrix noise = inverse(l.d), id = Matrix::Identity(l.w2.cols(), l.w2.cols());
  const Matrix second = inverse(id + l.w2.transpose() * noise * l.w2);
  set_posterior(model, model.vae.above()[0].encoder, second * l.w2.transpose() * noise,
                -second * l.w2.transpose() * noise * l.b2, second, wider);
}

Vector row_of(const std::vector<float>& x, std::size_t n, Eigen::Index X) {
  Vector row(X);
  for (Eigen::Index j = 0; j < X; ++j) row(j) = double(x[n * std::size_t(X) + std::size_t(j)]);
  return row;
}

// With q = p(h1, h2|x) every sample's weight is p(x) itself.
TEST(Layers, ExactPosteriorsMakeEverySampleTheEvidence) {
  Model model = linear_model(3, 1, 1);
  const Linear l = linear_of(model);
  set_posteriors(model, l, 1.0);
  std::vector<float> x(8 * 3);
  test::fill_normal({x.data(), 8, 3}, 3);
  const Evaluation e = evaluate_on(model, part_of(x, 3), 50);
  for (std::size_t n = 0; n < 8; ++n) {
    const double want = l.log_px(row_of(x, n, 3));
    // Some thirty terms in float, the largest of the size of a squared distance over the variance.
    const double tolerance = 1e-5 * (1 + std::abs(want));
    EXPECT_NEAR(e.elbo_of_datum[n], want, tolerance) << n;
    EXPECT_NEAR(e.log_px_of_datum[n], want, tolerance) << n;
  }
}

TEST(Layers, TheBoundConvergesToTheEvidenceOfLinearLayers) {
  Model model = linear_model(6, 3, 2);
  const Linear l = linear_of(model);
  set_posteriors(model, l, 1.5);
  std::vector<float> x(12 * 6);
  test::fill_normal({x.data(), 12, 6}, 3);
  const DataPart part = part_of(x, 6);
  double gap = INFINITY;
  for (const std::int64_t K : {1, 30, 1000, 30'000}) {
    const Evaluation e = evaluate_on(model, part, K);
    double mean = 0, error = 0;
    for (std::size_t n = 0; n < 12; ++n) {
      const double off = l.log_px(row_of(x, n, 6)) - e.log_px_of_datum[n];
      mean += off / 12;
      if (K == 1) continue;
      error = std::max(error, e.weights_of_datum[n].standard_error);
      if (K >= 1000) {
        EXPECT_LT(std::abs(off), 5 * e.weights_of_datum[n].standard_error) << n << " of " << K;
      }
    }
    EXPECT_LT(std::abs(mean), gap) << K;
    gap = std::abs(mean);
    if (K == 30'000) {
      EXPECT_LT(error, 0.02);
    }
  }
}

// Draws of h1 from the top have the mean and covariance of p(h1) = N(b2, W2 W2^T + D).
TEST(Layers, DrawsFromThePriorHaveItsMoments) {
  Model model = linear_model(4, 3, 2);
  const Linear l = linear_of(model);
  const std::int64_t N = 40'000;
  const test::ExecHandle exec = test::open_exec(2);
  const ModelState<test::ExecType> state = on_device(exec, model);
  const View<const float, 1> parameters = state.parameters.view();
  const auto draw = [&](std::int64_t count, std::uint64_t seed) {
    return draw_prior<test::ExecType>(exec, model.vae, parameters, count, seed);
  };
  const std::vector<float> h = draw(N, 5);
  ASSERT_EQ(h.size(), std::size_t(3 * N));
  Vector mean = Vector::Zero(3);
  Matrix second = Matrix::Zero(3, 3);
  for (std::size_t n = 0; n < std::size_t(N); ++n) {
    const Vector row = row_of(h, n, 3) - l.b2;
    mean += row / double(N);
    second += row * row.transpose() / double(N);
  }
  const Matrix c = l.prior_covariance();
  for (Eigen::Index i = 0; i < 3; ++i) {
    EXPECT_LT(std::abs(mean(i)), 5 * std::sqrt(c(i, i) / double(N))) << i;
    for (Eigen::Index j = 0; j < 3; ++j)
      EXPECT_LT(std::abs(second(i, j) - c(i, j)),
                5 * std::sqrt((c(i, i) * c(j, j) + c(i, j) * c(i, j)) / double(N)))
          << i << " " << j;
  }
  const std::vector<float> few = draw(300, 5);  // draw i is that of any count
  EXPECT_EQ(few, std::vector<float>(h.begin(), h.begin() + 900));
  EXPECT_NE(draw(300, 6), few);
}

// --- What goes no further than h1
// -----------------------------------------------------------------------------

TEST(Layers, OneDrawOfTheFirstLayerIsThatOfEvaluation) {
  Model model = linear_model(4, 3, 2);
  std::vector<float> x(10 * 4);
  test::fill_normal({x.data(), 10, 4}, 3);
  const DataPart part = part_of(x, 4);
  const test::ExecHandle exec = test::open_exec(1);
  const ResidentData<test::ExecType> data(exec, part);
  const ModelState<test::ExecType> state = on_device(exec, model);
  const Encoded encoded =
      encode<test::ExecType>(exec, model.vae, state.parameters.view(), data, 10, Binarize::kNone, 17, false);
  const std::vector<float> h = draw_posterior<test::ExecType>(exec, model.vae, encoded, 17);
  const Values flat = model.parameters();
  for (std::size_t n = 0; n < 10; ++n) {
    const Values posterior = reference::perceptron(
        model.vae, flat, "encoder", {x.begin() + std::int64_t(4 * n), x.begin() + std::int64_t(4 * n + 4)});
    const auto want = reference::layered_sample(model.vae, flat, posterior, 17, 0, reference::kHeldOutLayers,
                                                std::uint32_t(n), 0);
    for (std::size_t d = 0; d < 3; ++d)
      EXPECT_NEAR(h[3 * n + d], want.h1[d], 2e-5 * (1 + std::abs(want.h1[d])));
  }
  const std::vector<float> parameters(flat.begin(), flat.end());
  EXPECT_THROW(
      latent_prior(CpuExec(1), model.vae, View<const float, 1>(parameters.data(), model.vae.table().size())),
      std::invalid_argument);
}

}  // namespace
}  // namespace felbo
