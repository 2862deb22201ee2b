// A whole training step with every posterior, prior and number of stochastic layers: the reference's gradient
// against central differences of its own loss, and the step's against the reference's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "host/check/training_step_bound.h"
#include "host/model/layers_reference.h"
#include "host/train/training_step.h"
#include "host/train/training_step_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::Parity;
using Values = std::vector<double>;

constexpr std::int64_t kRows = 9, kBatch = 5, kDimensions = 4, kLatent = 3;

struct Case {
  PosteriorFamily posterior = PosteriorFamily::kDiagonalGaussian;
  PriorFamily prior = PriorFamily::kStandardNormal;
  TrainingObjective objective = TrainingObjective::kElbo;
  bool counts = false;
  std::vector<LayerConfig> above = {};
  float free_bits = 0.0f;
  LogVarClamp clamp = {};

  double beta() const { return has_importance_weights(objective) ? 1.0 : 0.7; }
};

Vae vae_of(const Case& c) {
  return Vae({.dimensions = kDimensions,
              .latent = kLatent,
              .hidden = {5},
              .activation = Activation::kTanh,
              .likelihood = likelihood_from_names(c.counts ? "poisson" : "gaussian", "unit", {}),
              .clamp = c.clamp,
              .posterior = {.family = c.posterior, .flow_steps = 2},
              .prior = {.family = c.prior, .components = 3},
              .above = c.above});
}

bool goes(const Case& c) {
  try {
    check_objective(c.objective, double{c.free_bits}, vae_of(c).config());
  } catch (const std::invalid_argument&) {
    return false;
  }
  return true;
}

/// All that go together.
std::vector<Case> cases() {
  const LogVarClamp tight{-0.3f, 0.2f};
  std::vector<Case> out;
  for (const TrainingObjective objective :
       {TrainingObjective::kElbo, TrainingObjective::kElboMc, TrainingObjective::kStl,
        TrainingObjective::kIwae, TrainingObjective::kDreg}) {
    for (const PosteriorFamily posterior :
         {PosteriorFamily::kDiagonalGaussian, PosteriorFamily::kIsotropicGaussian,
          PosteriorFamily::kFullCovarianceGaussian, PosteriorFamily::kPlanarFlow}) {
      for (const PriorFamily prior : {PriorFamily::kStandardNormal, PriorFamily::kDiagonalGaussian,
                                      PriorFamily::kUniform, PriorFamily::kMixture, PriorFamily::kVamp}) {
        if (prior == PriorFamily::kVamp && posterior != PosteriorFamily::kDiagonalGaussian) continue;
        out.push_back({posterior, prior, objective});
        out.push_back({.posterior = posterior, .prior = prior, .objective = objective, .clamp = tight});
      }
    }
    out.push_back({.prior = PriorFamily::kVamp, .objective = objective, .counts = true});
    out.push_back({.prior = PriorFamily::kUniform, .objective = objective, .free_bits = 0.25f});
    out.push_back({.objective = objective, .above = {{2, {4}}}});
    out.push_back({.objective = objective, .above = {{4, {}}, {1, {3}}}, .clamp = tight});
  }
  std::erase_if(out, [](const Case& c) { return !goes(c); });
  return out;
}

std::string name_of(const Case& c) {
  return "posterior " + std::to_string(int(c.posterior)) + ", prior " + std::to_string(int(c.prior)) +
         ", objective " + std::to_string(int(c.objective)) + ", layers " +
         std::to_string(c.above.size() + 1) + (c.counts ? ", counts" : "") +
         (c.free_bits > 0 ? ", free bits" : "") + (c.clamp.hi < 1 ? ", clamped" : "");
}

DataPart data_of(const Case& c) {
  DataPart part{
      .rows = kRows, .cols = kDimensions, .shape = {}, .bytes = {}, .floats = {}, .exact_log_px = {}};
  part.floats.resize(kRows * kDimensions);
  test::fill_normal({part.floats.data(), kRows, kDimensions}, 7);
  for (float& x : part.floats) x = c.counts ? std::floor(2 * std::abs(x)) : x;
  return part;
}

std::vector<float> parameters_of(const Vae& vae) {
  std::vector<float> flat(std::size_t(vae.table().size()));
  std::uint64_t seed = 100;
  for (const ParameterEntry& entry : vae.table().entries())
    test::fill_normal(matrix_of(View<float, 1>{flat.data(), vae.table().size()}, entry), ++seed, 0.4f);
  return flat;
}

TrainingStepOptions options_of(const Case& c) {
  return {.max_batch = kBatch,
          .samples = 2,
          .objective = c.objective,
          .free_bits = c.free_bits,
          .seed = 0x9876543210u};
}

// In long double, where h^2 / 6 times the third derivative is about 1e-9 of the gradient's size and rounding
// 1e-19 / h = 1e-14. Those of stl and dreg are no derivatives of their loss.
TEST(LatentStepReference, GradientIsTheDerivativeOfTheLoss) {
  using Real = long double;
  const Real h = 1e-5L;
  for (const Case& c : cases()) {
    if (goes_through_z_alone(c.objective)) continue;
    SCOPED_TRACE(name_of(c));
    const Vae vae = vae_of(c);
    const DataPart part = data_of(c);
    const std::vector<float> flat = parameters_of(vae);
    reference::StepInput<Real> in{
        &vae, &part, options_of(c), {4, 0, 2}, 3, {flat.begin(), flat.end()}, {.beta = c.beta()}};
    const auto gradient = reference::step(in).gradient;
    for (const ParameterEntry& entry : vae.table().entries()) {
      for (std::int64_t i = entry.offset; i < entry.offset + entry.size; ++i) {
        Real& parameter = in.parameters[std::size_t(i)];
        const Real at = parameter;
        parameter = at + h;
        const Real above = reference::step_forward(in).loss;
        parameter = at - h;
        const Real difference = (above - reference::step_forward(in).loss) / (2 * h);
        parameter = at;
        ASSERT_NEAR(gradient[std::size_t(i)], difference, 1e-7L * (1 + std::abs(difference)))
            << entry.name << " " << i - entry.offset;
      }
    }
  }
}

// What the sums of a step count: against layers_reference.h, which knows no batches.
TEST(LatentStepReference, LayersAreThoseOfTheDefinition) {
  const Case c{.objective = TrainingObjective::kElboMc, .above = {{4, {}}, {2, {3}}}, .clamp = {-0.3f, 0.2f}};
  const Vae vae = vae_of(c);
  const DataPart part = data_of(c);
  const std::vector<float> flat = parameters_of(vae);
  const Values parameters(flat.begin(), flat.end());
  const TrainingStepOptions options = options_of(c);
  const std::vector<std::uint32_t> rows{4, 0, 2};
  const auto t = reference::step_forward(
      reference::StepInput<double>{&vae, &part, options, rows, 3, parameters, {.beta = c.beta()}});
  std::int64_t clamped = 0;
  for (std::size_t r = 0; r < 6; ++r) {
    const auto x = part.floats.begin() + std::int64_t(rows[r / 2]) * kDimensions;
    const Values posterior = reference::perceptron(vae, parameters, "encoder", {x, x + kDimensions});
    const auto h = reference::layered_sample(vae, parameters, posterior, options.seed, 3,
                                             reference::kTrainingLayers, rows[r / 2], std::uint32_t(r % 2));
    EXPECT_NEAR(t.latent.log_pz[r], h.log_p, 1e-12);
    EXPECT_NEAR(t.latent.log_qz[r], h.log_q, 1e-12);
    for (std::size_t d = 0; d < 3; ++d) EXPECT_NEAR(t.latent.code[3 * r + d], h.h1[d], 1e-12);
    clamped += h.clamped;
    for (std::size_t d = 3; d < 6 && r % 2 == 0; ++d)
      clamped += posterior[d] < double{c.clamp.lo} || posterior[d] > double{c.clamp.hi};
  }
  EXPECT_EQ(t.clamped, clamped);
  EXPECT_GT(clamped, 0);
}

// Of several stochastic layers there is no bound of the rounding errors. A gradient is the mean over the
// batch of sums of some hundred products of order 1 in float, on normals right within 3e-6: it comes within
// 5e-5, where a term that is missing is off by 0.01 and more. Sums over the batch are five times a datum's.
constexpr double kGradient = 5e-5, kTotal = 5 * 5e-5;

void compare_layers(Parity& parity, const Vae& vae, const std::vector<float>& got,
                    const TrainingTotals& totals, const reference::StepTrace<double>& want) {
  for (const ParameterEntry& entry : vae.table().entries()) {
    for (std::int64_t i = entry.offset; i < entry.offset + entry.size; ++i) {
      const double gradient = want.gradient[std::size_t(i)];
      parity.element(entry.name, 0, i - entry.offset, double(got[std::size_t(i)]), gradient,
                     kGradient * (1 + std::abs(gradient)));
    }
  }
  const auto element = [&](const char* name, double value, double wanted) {
    parity.element(name, 0, 0, value, wanted, kTotal * (1 + std::abs(wanted)));
  };
  element("log_px_given_z", totals.log_px_given_z, want.log_px_given_z);
  element("kl", totals.kl, want.kl);
  element("elbo", totals.elbo, want.elbo);
  element("bound", totals.bound, want.bound);
  parity.element("clamped", 0, 0, double(totals.clamped), double(want.clamped), 0);
}

TEST(LatentStep, IsThatOfTheReferenceForEveryModel) {
  double worst = 0;  // error, as a share of its tolerance
  for (const Case& c : cases()) {
    SCOPED_TRACE(name_of(c));
    const test::ExecHandle exec = test::open_exec(2);
    const Vae vae = vae_of(c);
    const DataPart part = data_of(c);
    const ResidentData<test::ExecType> data(exec, part);
    ModelState<test::ExecType> state(exec, vae);
    upload(exec, parameters_of(vae), state.parameters.view());
    const TrainingStepOptions options = options_of(c);
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
                                            .rates = {.lr = 1e-3, .beta = c.beta()}};
      step.begin(rows, std::vector<StepRates>{in.rates});
      step();
      const std::vector<float> got = to_host<test::ExecType>(exec, step.gradient());
      const TrainingTotals totals = step.take_totals();
      Parity parity;
      if (!c.above.empty()) {
        compare_layers(parity, vae, got, totals, reference::step(in));
      } else {
        const Values zeros(before.size(), 0.0);
        const checks::ExpectedStep expected(in, zeros, zeros);
        ASSERT_FALSE(expected.straddles_a_bound());
        expected.judge_gradient(parity, got);
        expected.judge_totals(parity, totals);
      }
      worst = std::max(worst, parity.worst());
      FELBO_EXPECT_PARITY(parity);
    }
  }
  std::printf("%zu models, errors of at most %.3g of their tolerances\n", cases().size(), worst);
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
