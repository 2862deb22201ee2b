// A whole training step with every posterior and prior: its gradient by every parameter against central
// differences of the loss in double, composed from the references of the ops.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "host/model/latent_reference.h"
#include "host/train/training_step.h"
#include "host/train/training_step_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Parity;
using Values = std::vector<double>;

constexpr std::int64_t kRows = 9, kBatch = 5, kDimensions = 4, kLatent = 3;
constexpr double kBeta = 0.7;

struct Case {
  PosteriorFamily posterior;
  PriorFamily prior;
  TrainingObjective objective;
  bool counts = false;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const PosteriorFamily posterior :
       {PosteriorFamily::kDiagonalGaussian, PosteriorFamily::kIsotropicGaussian,
        PosteriorFamily::kFullCovarianceGaussian, PosteriorFamily::kPlanarFlow}) {
    for (const PriorFamily prior : {PriorFamily::kStandardNormal, PriorFamily::kDiagonalGaussian,
                                    PriorFamily::kUniform, PriorFamily::kMixture, PriorFamily::kVamp}) {
      if (prior == PriorFamily::kVamp && posterior != PosteriorFamily::kDiagonalGaussian) continue;
      for (const TrainingObjective objective :
           {TrainingObjective::kElbo, TrainingObjective::kElboMc, TrainingObjective::kIwae})
        out.push_back({posterior, prior, objective});
    }
  }
  out.push_back({PosteriorFamily::kDiagonalGaussian, PriorFamily::kVamp, TrainingObjective::kElbo, true});
  return out;
}

Vae vae_of(const Case& c) {
  return Vae({.dimensions = kDimensions,
              .latent = kLatent,
              .hidden = {5},
              .activation = Activation::kTanh,
              .likelihood = likelihood_from_names(c.counts ? "poisson" : "gaussian", "unit", {}),
              .posterior = {.family = c.posterior, .flow_steps = 2},
              .prior = {.family = c.prior, .components = 3}});
}

DataPart data_of(const Case& c) {
  DataPart part{
      .rows = kRows, .cols = kDimensions, .shape = {}, .bytes = {}, .floats = {}, .exact_log_px = {}};
  part.floats.resize(kRows * kDimensions);
  test::fill_normal({part.floats.data(), kRows, kDimensions}, 7);
  for (float& x : part.floats) x = c.counts ? std::floor(2 * std::abs(x)) : x;
  return part;
}

/// The loss of a step.
double loss(const reference::StepInput<double>& in) {
  const VaeConfig& c = in.vae->config();
  const int B = int(in.rows.size()), S = in.options.samples, X = int(c.dimensions), Z = int(c.latent);
  const int E = int(c.posterior.outputs(Z)), K = int(in.vae->pseudo_rows());
  auto encoder = reference::mlp_layers(in, "encoder", X, c.hidden, E);
  auto decoder = reference::mlp_layers(in, "decoder", Z, {c.hidden.rbegin(), c.hidden.rend()}, X);
  const Values x = reference::minibatch(in);
  Values input = x;
  if (c.likelihood.observations() == Observations::kCounts) {
    for (double& value : input) value = reference::log_count(value);
  }
  reference::LatentPoint point{reference::mlp_forward(encoder, input, B), {}, in.parameters};
  if (K > 0) {
    const ParameterEntry entry = reference::entry_of(*in.vae, "prior.pseudo_inputs");
    point.pseudo = reference::mlp_forward(encoder, reference::tensor_of(in.parameters, entry), K);
  }
  const NoiseStream noise{in.options.seed, static_cast<std::uint32_t>(in.step), Purpose::kLatent};
  const reference::LatentTerms t = reference::LatentReference(*in.vae, noise, in.rows, S).terms(point);
  reference::LikelihoodInput<double> likelihood{.data = B, .samples = S, .dimensions = X, .x = x};
  likelihood.output = reference::mlp_forward(decoder, t.code, B * S);
  const Values log_px_given_z = reference::likelihood(c.likelihood, likelihood).log_px_given_z;
  const double beta = in.rates.beta;
  double sum = 0;
  for (int b = 0; b < B; ++b) {
    Values log_w, log_p;
    for (std::size_t r = std::size_t(b * S); r < std::size_t((b + 1) * S); ++r) {
      log_p.push_back(log_px_given_z[r]);
      log_w.push_back(log_px_given_z[r] + beta * (t.log_pz[r] - t.log_qz[r]));
    }
    if (in.options.objective == TrainingObjective::kIwae) {
      sum -= reference::log_mean_exp(log_w);
    } else if (in.options.objective == TrainingObjective::kElboMc) {
      sum -= reference::mean(log_w);
    } else {
      sum -= reference::mean(log_p) - beta * t.kl[std::size_t(b)];
    }
  }
  return sum / B;
}

Values derivatives(reference::StepInput<double> in) {
  const double h = 1e-5;  // truncation h^2 and rounding 1e-15 / h, both below 1e-8
  Values out(in.parameters.size());
  for (const ParameterEntry& entry : in.vae->table().entries()) {
    for (std::int64_t i = entry.offset; i < entry.offset + entry.size; ++i) {
      double& parameter = in.parameters[std::size_t(i)];
      const double at = parameter;
      parameter = at + h;
      const double up = loss(in);
      parameter = at - h;
      out[std::size_t(i)] = (up - loss(in)) / (2 * h);
      parameter = at;
    }
  }
  return out;
}

// A gradient is the mean over the batch of sums of some hundred products of order 1 in float, on normals
// right within 3e-6: it comes within 5e-5, where a term that is missing is off by 0.01 and more.
constexpr double kGradient = 5e-5;

TEST(LatentStep, GradientsAreDerivativesForEveryPosteriorAndPrior) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(testing::Message() << "posterior " << int(c.posterior) << ", prior " << int(c.prior)
                                    << ", objective " << int(c.objective) << (c.counts ? ", counts" : ""));
    const test::ExecHandle exec = test::open_exec(2);
    const Vae vae = vae_of(c);
    const DataPart part = data_of(c);
    const ResidentData<test::ExecType> data(exec, part);
    ModelState<test::ExecType> state(exec, vae);
    std::vector<float> flat(std::size_t(vae.table().size()));
    std::uint64_t seed = 100;
    for (const ParameterEntry& entry : vae.table().entries())
      test::fill_normal(matrix_of(View<float, 1>{flat.data(), vae.table().size()}, entry), ++seed, 0.4f);
    upload(exec, flat, state.parameters.view());
    const double beta = c.objective == TrainingObjective::kIwae ? 1.0 : kBeta;
    const TrainingStepOptions options{
        .max_batch = kBatch, .samples = 2, .objective = c.objective, .seed = 0x9876543210u};
    TrainingStep<test::ExecType> step(exec, vae, data, state, options);
    // Three steps: a full batch, and on a device a recorded one; then the rest of an epoch, a smaller batch.
    const std::vector<std::uint32_t> order{3, 1, 8, 0, 5, 2, 7, 4, 6};
    for (const std::size_t first : {0, 0, 5}) {
      const std::vector<std::uint32_t> rows(order.begin() + std::int64_t(first),
                                            order.begin() + std::int64_t(first == 0 ? kBatch : kRows));
      const std::vector<float> before = to_host<test::ExecType>(exec, state.parameters.view());
      const reference::StepInput<double> in{.vae = &vae,
                                            .data = &part,
                                            .options = options,
                                            .rows = rows,
                                            .step = state.step,
                                            .parameters = {before.begin(), before.end()},
                                            .rates = {.lr = 1e-3, .beta = beta}};
      step.begin(rows, std::vector<StepRates>{in.rates});
      step();
      const std::vector<float> got = to_host<test::ExecType>(exec, step.gradient());
      const Values want = derivatives(in);
      Parity parity;
      for (const ParameterEntry& entry : vae.table().entries()) {
        for (std::int64_t i = entry.offset; i < entry.offset + entry.size; ++i)
          parity.element(entry.name, 0, i - entry.offset, double(got[std::size_t(i)]), want[std::size_t(i)],
                         kGradient * (1 + std::abs(want[std::size_t(i)])));
      }
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

TEST(LatentStep, RefusesWhatDoesNotGoTogether) {
  const test::ExecHandle exec = test::open_exec(1);
  const auto refused = [&](PosteriorFamily posterior, PriorFamily prior, TrainingStepOptions options) {
    const Case c{posterior, prior, options.objective};
    const Vae vae = vae_of(c);
    const DataPart part = data_of(c);
    const ResidentData<test::ExecType> data(exec, part);
    ModelState<test::ExecType> state(exec, vae);
    try {
      TrainingStep<test::ExecType> step(exec, vae, data, state, options);
    } catch (const std::invalid_argument&) {
      return true;
    }
    return false;
  };
  EXPECT_TRUE(refused(PosteriorFamily::kPlanarFlow, PriorFamily::kStandardNormal,
                      {.objective = TrainingObjective::kStl}));
  EXPECT_TRUE(refused(PosteriorFamily::kDiagonalGaussian, PriorFamily::kMixture, {.free_bits = 0.5f}));
  EXPECT_FALSE(refused(PosteriorFamily::kIsotropicGaussian, PriorFamily::kMixture,
                       {.objective = TrainingObjective::kDreg}));
}

}  // namespace
}  // namespace felbo
