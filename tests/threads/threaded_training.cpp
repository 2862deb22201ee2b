// Trainings and their evaluations on two threads, for ThreadSanitizer: every posterior and prior, several
// likelihoods and objectives, at sizes at which each op shares its work out. Then the same on one thread: the
// same bits.
#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "host/check/inputs.h"
#include "host/evaluate/evaluate.h"
#include "host/train/trainer.h"

namespace felbo {
namespace {

constexpr std::int64_t kRows = 300, kColumns = 160, kBatch = 140;

struct Kind {
  const char *likelihood, *variance;
  PosteriorFamily posterior = PosteriorFamily::kDiagonalGaussian;
  PriorFamily prior = PriorFamily::kStandardNormal;
  TrainingObjective objective = TrainingObjective::kElbo;
  Activation activation = Activation::kRelu;
  float free_bits = 0.0f;
  bool layers = false;
};

const Kind kKinds[] = {
    {.likelihood = "bernoulli", .variance = "unit"},
    {.likelihood = "gaussian", .variance = "learned", .activation = Activation::kGelu, .free_bits = 0.1f},
    {.likelihood = "gaussian",
     .variance = "per-element",
     .posterior = PosteriorFamily::kFullCovarianceGaussian,
     .prior = PriorFamily::kDiagonalGaussian},
    {.likelihood = "laplace",
     .variance = "per-dimension",
     .posterior = PosteriorFamily::kPlanarFlow,
     .objective = TrainingObjective::kElboMc},
    {.likelihood = "poisson",
     .variance = "unit",
     .posterior = PosteriorFamily::kIsotropicGaussian,
     .prior = PriorFamily::kMixture,
     .activation = Activation::kTanh},
    {.likelihood = "multinomial", .variance = "unit", .prior = PriorFamily::kVamp},
    {.likelihood = "bernoulli",
     .variance = "unit",
     .prior = PriorFamily::kUniform,
     .objective = TrainingObjective::kDreg},
    {.likelihood = "bernoulli", .variance = "unit", .objective = TrainingObjective::kIwae, .layers = true},
};

VaeConfig config_of(const Kind& kind) {
  VaeConfig config{.dimensions = kColumns,
                   .latent = 12,
                   .hidden = {96, 80},
                   .activation = kind.activation,
                   .likelihood = likelihood_from_names(kind.likelihood, kind.variance, {}),
                   .posterior = {.family = kind.posterior, .flow_steps = 2},
                   .prior = {.family = kind.prior, .components = 9}};
  if (kind.layers) config.above.push_back({6, {40}});
  return config;
}

DataPart data_of(const VaeConfig& config) {
  DataPart part;
  part.rows = kRows, part.cols = kColumns;
  part.floats.resize(kRows * kColumns);
  const View<float, 2> x{part.floats.data(), kRows, kColumns};
  checks::fill_normal(x, 1);
  checks::to_observations(x, config.likelihood);
  return part;
}

/// Two epochs, whose last batches are smaller, and an evaluation. Returns all that came of them.
std::vector<float> train(const Kind& kind, int threads) {
  const CpuExec exec(threads);
  const Vae vae(config_of(kind));
  const DataPart part = data_of(vae.config());
  const ResidentData<CpuExec> data(exec, part);
  ModelState<CpuExec> state(exec, vae);
  checks::fill_normal(View<float, 2>{state.parameters.data(), 1, vae.table().size()}, 2, 0.05f);
  TrainingStep<CpuExec> step(exec, vae, data, state,
                             {.max_batch = kBatch,
                              .samples = 3,
                              .objective = kind.objective,
                              .free_bits = kind.free_bits,
                              .seed = 5,
                              .clip_norm = 1.0});
  const LrSchedule lr = LrSchedule::parse("constant", 1e-3, 2, 0);
  const BetaSchedule beta = BetaSchedule::parse("constant", 1.0);
  Progress progress(2, 3, ProgressKind::kOff);
  RunProgress at;
  for (int epoch = 0; epoch < 2; ++epoch)
    train_epoch(
        step, state, {kRows, kBatch, 5, lr, beta}, at, progress,
        [](std::int64_t) { return AfterStep::kGoOn; }, [] {});
  const Evaluation judged = evaluate(exec, vae, state.parameters.view(), data, {.samples = 4, .seed = 5});
  std::vector<float> all(state.parameters.data(), state.parameters.data() + vae.table().size());
  all.push_back(static_cast<float>(judged.elbo.mean));
  all.push_back(static_cast<float>(judged.log_px.mean));
  return all;
}

int run() {
  int different = 0;
  for (const Kind& kind : kKinds) {
    const std::vector<float> two = train(kind, 2), one = train(kind, 1);
    const bool same = std::memcmp(two.data(), one.data(), one.size() * sizeof(float)) == 0;
    different += !same;
    fmt::print("{} {}: ELBO {:.3f}, {}\n", kind.likelihood, kind.variance, two[two.size() - 2],
               same ? "the bits of one thread" : "OTHER BITS than on one thread");
  }
  return different == 0 ? 0 : 1;
}

}  // namespace
}  // namespace felbo

int main() { return felbo::run(); }
