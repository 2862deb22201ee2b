#include "benchmarks/gradient_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <numeric>

#include "benchmarks/bench_exec.h"
#include "host/data/dataset.h"
#include "host/train/gradient_moments.h"
#include "host/train/shuffle.h"

namespace felbo::bench {
namespace {

constexpr std::int64_t kTrainingBatch = 100;
constexpr int kEpochs = 3, kData = 20;

/// Three epochs by the ELBO.
template <class Exec>
void train(const Exec& exec, const Vae& vae, const ResidentData<Exec>& data, ModelState<Exec>& state) {
  TrainingStep<Exec> step(exec, vae, data, state,
                          {.max_batch = kTrainingBatch, .binarize = Binarize::kThreshold});
  const std::int64_t steps = (data.rows() + kTrainingBatch - 1) / kTrainingBatch;
  for (std::uint32_t epoch = 0; epoch < kEpochs; ++epoch) {
    step.begin(epoch_order(0, epoch, data.rows()), std::vector<StepRates>(static_cast<std::size_t>(steps)));
    for (std::int64_t i = 0; i < steps; ++i) step();
  }
}

/// Sums over the parameters whose names begin with `part`.
struct PartSums {
  double variance = 0.0, squared_mean = 0.0;
};
PartSums sums_of(const Vae& vae, const GradientMoments& moments, const std::string& part) {
  PartSums sums;
  for (const ParameterEntry& entry : vae.table().entries()) {
    if (!entry.name.starts_with(part)) continue;
    for (std::int64_t i = entry.offset; i < entry.offset + entry.size; ++i) {
      const auto at = static_cast<std::size_t>(i);
      sums.variance += moments.variance[at];
      sums.squared_mean += moments.mean[at] * moments.mean[at];
    }
  }
  return sums;
}

template <class Exec>
std::vector<GradientScatter> scatter_on(const Exec& exec, int draws) {
  const DataSet set = load_data("builtin:glyphs");
  const ResidentData<Exec> data(exec, set.train);
  const Vae vae({.dimensions = set.train.cols, .latent = 20, .hidden = {200}});
  ModelState<CpuExec> initial(CpuExec(1), vae);
  std::ranges::copy(initial_parameters(vae, {column_means(set.train), mean_column_variance(set.train)}, 0),
                    initial.parameters.data());
  ModelState<Exec> state = state_on(exec, vae, std::move(initial));
  train(exec, vae, data, state);
  std::vector<std::uint32_t> rows(kData);
  std::iota(rows.begin(), rows.end(), 0u);
  const std::pair<const char*, TrainingObjective> objectives[] = {{"elbo", TrainingObjective::kElbo},
                                                                  {"elbo-mc", TrainingObjective::kElboMc},
                                                                  {"stl", TrainingObjective::kStl},
                                                                  {"iwae", TrainingObjective::kIwae},
                                                                  {"dreg", TrainingObjective::kDreg}};
  std::vector<GradientScatter> out;
  for (const int samples : {1, 5, 50}) {
    std::map<bool, double> named;  // the encoder's variance of elbo and of iwae
    for (const auto& [name, objective] : objectives) {
      const auto start = std::chrono::steady_clock::now();
      const GradientMoments moments = gradient_moments<Exec>(
          exec, vae, data, state,
          {.samples = samples, .objective = objective, .binarize = Binarize::kThreshold}, 1.0, rows, draws);
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      const PartSums encoder = sums_of(vae, moments, "encoder"), decoder = sums_of(vae, moments, "decoder");
      const double reference =
          named.try_emplace(has_importance_weights(objective), encoder.variance).first->second;
      // The mean of the draws holds 1 / draws of the variance beside the expectation.
      const double squared_mean = std::max(0.0, encoder.squared_mean - encoder.variance / draws);
      out.push_back({name, samples, seconds.count() / draws, encoder.variance, decoder.variance,
                     encoder.variance / reference, std::sqrt(squared_mean / encoder.variance)});
    }
  }
  return out;
}

}  // namespace

std::vector<GradientScatter> gradient_scatter(int draws) {
  return on_device([&](const auto& exec) { return scatter_on(exec, draws); });
}

}  // namespace felbo::bench
