// A whole training step with several stochastic layers: its figures, and its gradient by every parameter
// against central differences of the loss, in double.
#include <gtest/gtest.h>

#include <cmath>

#include "host/model/layers_reference.h"
#include "host/train/training_step.h"
#include "kernels/likelihood/likelihood_reference.h"
#include "kernels/objective/objective_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Parity;
using Values = std::vector<double>;

constexpr std::int64_t kRows = 9, kBatch = 5, kDimensions = 4, kLatent = 3;
constexpr int kSamples = 3;
constexpr std::uint64_t kSeed = 0x9876543210u;

struct Case {
  std::vector<LayerConfig> above;
  TrainingObjective objective;
  LogVarClamp clamp = {};
};

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const TrainingObjective objective : {TrainingObjective::kElboMc, TrainingObjective::kIwae}) {
    out.push_back({{{.latent = 2, .hidden = {4}}}, objective});
    out.push_back({{{.latent = 5, .hidden = {}}}, objective});
    out.push_back({{{.latent = 2, .hidden = {4, 3}}, {.latent = 4, .hidden = {3}}}, objective});
    out.push_back({{{.latent = 2, .hidden = {4}}}, objective, {-0.3f, 0.4f}});
  }
  return out;
}

Vae vae_of(const Case& c) {
  return Vae({.dimensions = kDimensions,
              .latent = kLatent,
              .hidden = {5},
              .activation = Activation::kTanh,
              .likelihood = likelihood_from_names("gaussian", "unit", {}),
              .clamp = c.clamp,
              .above = c.above});
}

DataPart data_of() {
  DataPart part{
      .rows = kRows, .cols = kDimensions, .shape = {}, .bytes = {}, .floats = {}, .exact_log_px = {}};
  part.floats.resize(kRows * kDimensions);
  test::fill_normal({part.floats.data(), kRows, kDimensions}, 7);
  return part;
}

std::vector<float> parameters_of(const Vae& vae) {
  std::vector<float> flat(std::size_t(vae.table().size()));
  std::uint64_t seed = 100;
  for (const ParameterEntry& entry : vae.table().entries())
    test::fill_normal(matrix_of(View<float, 1>{flat.data(), vae.table().size()}, entry), ++seed, 0.4f);
  return flat;
}

/// Sums over a batch, and the loss that the step minimises.
struct Figures {
  double loss = 0, log_px_given_z = 0, kl = 0, bound = 0;
  std::int64_t clamped = 0;
};

Figures figures(const Vae& vae, const DataPart& data, const Values& flat, TrainingObjective objective,
                double beta, const std::vector<std::uint32_t>& rows, std::uint32_t step) {
  Figures f;
  for (const std::uint32_t row : rows) {
    const auto at = data.floats.begin() + std::int64_t(row) * kDimensions;
    const Values x(at, at + kDimensions);
    const Values posterior = reference::perceptron(vae, flat, "encoder", x);
    for (std::size_t d = kLatent; d < posterior.size(); ++d)
      f.clamped += posterior[d] < vae.config().clamp.lo || posterior[d] > vae.config().clamp.hi;
    Values log_w, log_p;
    double kl = 0;
    for (std::uint32_t s = 0; s < kSamples; ++s) {
      const auto h =
          reference::layered_sample(vae, flat, posterior, kSeed, step, reference::kTrainingLayers, row, s);
      reference::LikelihoodInput<double> in{.data = 1, .samples = 1, .dimensions = kDimensions, .x = x};
      in.output = reference::perceptron(vae, flat, "decoder", h.h1);
      log_p.push_back(reference::likelihood(vae.config().likelihood, in).log_px_given_z[0]);
      log_w.push_back(log_p.back() + beta * (h.log_p - h.log_q));
      kl += (h.log_q - h.log_p) / kSamples;
      f.clamped += h.clamped;
    }
    f.log_px_given_z += reference::mean(log_p);
    f.kl += kl;
    f.bound += reference::log_mean_exp(log_w);
    f.loss -= objective == TrainingObjective::kIwae ? reference::log_mean_exp(log_w) : reference::mean(log_w);
  }
  f.loss /= double(rows.size());
  return f;
}

template <class F>
Values derivatives(const Vae& vae, Values flat, const F& loss) {
  const double h = 1e-5;  // truncation h^2 and rounding 1e-15 / h, both below 1e-8
  Values out(flat.size());
  for (const ParameterEntry& entry : vae.table().entries()) {
    for (std::int64_t i = entry.offset; i < entry.offset + entry.size; ++i) {
      double& parameter = flat[std::size_t(i)];
      const double at = parameter;
      parameter = at + h;
      const double up = loss(flat);
      parameter = at - h;
      out[std::size_t(i)] = (up - loss(flat)) / (2 * h);
      parameter = at;
    }
  }
  return out;
}

// A gradient is the mean over the batch of sums of some hundred products of order 1 in float, on normals
// right within 3e-6: it comes within 5e-5, where a term that is missing is off by 0.01 and more. The figures
// are sums over the batch of as many terms.
constexpr double kTolerance = 5e-5;

TEST(Layers, GradientsAreDerivativesAndFiguresAreRight) {
  const DataPart part = data_of();
  for (const Case& c : cases()) {
    SCOPED_TRACE(testing::Message() << c.above.size() + 1 << " layers, objective " << int(c.objective)
                                    << ", clamp " << c.clamp.lo);
    const test::ExecHandle exec = test::open_exec(2);
    const Vae vae = vae_of(c);
    const ResidentData<test::ExecType> data(exec, part);
    ModelState<test::ExecType> state(exec, vae);
    upload(exec, parameters_of(vae), state.parameters.view());
    const bool weighed = c.objective == TrainingObjective::kIwae;
    const double beta = weighed ? 1.0 : 0.7;
    TrainingStep<test::ExecType> step(
        exec, vae, data, state,
        {.max_batch = kBatch, .samples = kSamples, .objective = c.objective, .seed = kSeed});
    // Three steps: a full batch, and on a device a recorded one; then the rest of an epoch, a smaller batch.
    const std::vector<std::uint32_t> order{3, 1, 8, 0, 5, 2, 7, 4, 6};
    for (const std::size_t first : {0, 0, 5}) {
      const std::vector<std::uint32_t> rows(order.begin() + std::int64_t(first),
                                            order.begin() + std::int64_t(first == 0 ? kBatch : kRows));
      const std::vector<float> before = to_host<test::ExecType>(exec, state.parameters.view());
      const Values flat(before.begin(), before.end());
      const auto at_step = static_cast<std::uint32_t>(state.step);
      step.begin(rows, std::vector<StepRates>{{.lr = 1e-3, .beta = beta}});
      step();
      const std::vector<float> got = to_host<test::ExecType>(exec, step.gradient());
      const TrainingTotals totals = step.take_totals();
      const auto loss = [&](const Values& p) {
        return figures(vae, part, p, c.objective, beta, rows, at_step).loss;
      };
      const Values want = derivatives(vae, flat, loss);
      const Figures f = figures(vae, part, flat, c.objective, beta, rows, at_step);
      Parity parity;
      for (const ParameterEntry& entry : vae.table().entries()) {
        for (std::int64_t i = entry.offset; i < entry.offset + entry.size; ++i)
          parity.element(entry.name, 0, i - entry.offset, double(got[std::size_t(i)]), want[std::size_t(i)],
                         kTolerance * (1 + std::abs(want[std::size_t(i)])));
      }
      const auto figure = [&](const char* name, double value, double expected) {
        parity.element(name, 0, 0, value, expected, kTolerance * (1 + std::abs(expected)));
      };
      figure("log_px_given_z", totals.log_px_given_z, f.log_px_given_z);
      figure("kl", totals.kl, f.kl);
      figure("elbo", totals.elbo, f.log_px_given_z - f.kl);
      if (weighed) figure("bound", totals.bound, f.bound);
      EXPECT_EQ(totals.clamped, f.clamped);
      EXPECT_EQ(c.clamp.hi<1, totals.clamped> 0);
      FELBO_EXPECT_PARITY(parity);
    }
  }
}

TEST(Layers, BitsDoNotDependOnThreads) {
  const DataPart part = data_of();
  const Case c{{{.latent = 40, .hidden = {33}}}, TrainingObjective::kIwae};
  const Vae vae = vae_of(c);
  std::vector<float> first;
  for (const int threads : {1, 2, 5}) {
    const test::ExecHandle exec = test::open_exec(threads);
    const ResidentData<test::ExecType> data(exec, part);
    ModelState<test::ExecType> state(exec, vae);
    upload(exec, parameters_of(vae), state.parameters.view());
    TrainingStep<test::ExecType> step(
        exec, vae, data, state, {.max_batch = kRows, .samples = 50, .objective = c.objective, .seed = kSeed});
    const std::vector<std::uint32_t> order{3, 1, 8, 0, 5, 2, 7, 4, 6};
    step.begin(order, std::vector<StepRates>(1));
    step();
    const std::vector<float> got = to_host<test::ExecType>(exec, step.gradient());
    if (first.empty()) first = got;
    EXPECT_EQ(got, first) << threads;
  }
}

// One layer is the model that it was: no parameter more, the same bits of each.
TEST(Layers, LayersAboveLeaveTheOthersParametersAlone) {
  const Vae one = vae_of({{}, TrainingObjective::kElboMc}),
            two = vae_of({{{.latent = 2, .hidden = {4}}}, TrainingObjective::kElboMc});
  ASSERT_EQ(two.table().entries().size(), one.table().entries().size() + 8);
  const DataMoments moments{std::vector<double>(kDimensions, 0.25), 1.0, {}};
  const std::vector<float> a = initial_parameters(one, moments, 5), b = initial_parameters(two, moments, 5);
  for (std::size_t e = 0; e < one.table().entries().size(); ++e) {
    const ParameterEntry &in_one = one.table().entries()[e], &in_two = two.table().entries()[e];
    EXPECT_EQ(in_one.name, in_two.name);
    for (std::int64_t i = 0; i < in_one.size; ++i)
      EXPECT_EQ(a[std::size_t(in_one.offset + i)], b[std::size_t(in_two.offset + i)]) << in_one.name;
  }
  for (const ParameterEntry& entry : two.table().entries()) {
    bool varied = false;
    for (std::int64_t i = entry.offset; i < entry.offset + entry.size; ++i) varied |= b[std::size_t(i)] != 0;
    EXPECT_TRUE(varied) << entry.name;
  }
}

TEST(Layers, RefusesWhatDoesNotGoTogether) {
  const test::ExecHandle exec = test::open_exec(1);
  const DataPart part = data_of();
  const ResidentData<test::ExecType> data(exec, part);
  const Vae vae = vae_of({{{.latent = 2, .hidden = {}}}, TrainingObjective::kIwae});
  for (const TrainingObjective objective :
       {TrainingObjective::kElbo, TrainingObjective::kStl, TrainingObjective::kDreg}) {
    ModelState<test::ExecType> state(exec, vae);
    EXPECT_THROW(TrainingStep<test::ExecType>(exec, vae, data, state, {.objective = objective}),
                 std::invalid_argument)
        << int(objective);
  }
  VaeConfig config = vae.config();
  config.prior.family = PriorFamily::kMixture;
  EXPECT_THROW(Vae{config}, std::invalid_argument);
  config = vae.config();
  config.posterior.family = PosteriorFamily::kIsotropicGaussian;
  EXPECT_THROW(Vae{config}, std::invalid_argument);
  config = vae.config();
  config.above[0].latent = 0;
  EXPECT_THROW(Vae{config}, std::invalid_argument);
  config.above.assign(9, {.latent = 1, .hidden = {}});
  EXPECT_THROW(Vae{config}, std::invalid_argument);
}

}  // namespace
}  // namespace felbo
