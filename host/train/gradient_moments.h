// How a gradient estimate scatters: its mean and variance over draws of the noise at parameters that stay.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "host/train/training_step.h"

namespace felbo {

/// Of each parameter's gradient, over `draws` steps that differ in their noise alone.
struct GradientMoments {
  std::vector<double> mean, variance;  // (P); the variance of one draw, by n - 1
  std::int64_t draws = 0;
};

/// Takes `draws` (at least 2) steps at learning rate 0 on the same `rows`, noise of steps state.step and on.
/// Sums by Welford's recurrence, so that small variances beside large means keep their digits. Throws
/// std::invalid_argument for fewer draws.
template <class Exec>
GradientMoments gradient_moments(const Exec& exec, const Vae& vae, const ResidentData<Exec>& data,
                                 ModelState<Exec>& state, TrainingStepOptions options, double beta,
                                 const std::vector<std::uint32_t>& rows, std::int64_t draws) {
  FELBO_CHECK(draws >= 2, "the variance of {} draws is not defined", draws);
  options.max_batch = static_cast<std::int64_t>(rows.size());
  TrainingStep<Exec> step(exec, vae, data, state, options);
  const auto size = static_cast<std::size_t>(vae.table().size());
  GradientMoments out{std::vector<double>(size), std::vector<double>(size), draws};
  const std::vector<StepRates> rates{{.lr = 0.0, .beta = beta}};
  for (std::int64_t n = 1; n <= draws; ++n) {
    step.begin(rows, rates);
    step();
    const std::vector<float> gradient = to_host(exec, step.gradient());
    for (std::size_t i = 0; i < size; ++i) {
      const double from_mean = static_cast<double>(gradient[i]) - out.mean[i];
      out.mean[i] += from_mean / static_cast<double>(n);
      out.variance[i] += from_mean * (static_cast<double>(gradient[i]) - out.mean[i]);
    }
  }
  for (double& sum : out.variance) sum /= static_cast<double>(draws - 1);
  return out;
}

}  // namespace felbo
