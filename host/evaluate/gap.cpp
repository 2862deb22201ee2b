#include "host/evaluate/gap.h"

#include <algorithm>
#include <cmath>

namespace felbo::detail {
namespace {

std::vector<double> difference(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out = a;
  for (std::size_t n = 0; n < out.size(); ++n) out[n] -= b[n];
  return out;
}

/// Standard error of a mean from those of its terms.
double of_mean(const std::vector<double>& errors) {
  double squares = 0.0;
  for (const double e : errors) squares += e * e;
  return std::sqrt(squares) / static_cast<double>(errors.size());
}

}  // namespace

LatentGaussians better_of(const LatentGaussians& a, const PosteriorValues& of_a, const LatentGaussians& b,
                          const PosteriorValues& of_b) {
  LatentGaussians best = a;
  const std::size_t N = of_a.elbo.size(), Z = a.mu.size() / N;
  for (std::size_t n = 0; n < N; ++n) {
    if (!(of_b.elbo[n] > of_a.elbo[n])) continue;
    std::copy_n(b.mu.begin() + static_cast<std::ptrdiff_t>(n * Z), Z,
                best.mu.begin() + static_cast<std::ptrdiff_t>(n * Z));
    std::copy_n(b.log_var.begin() + static_cast<std::ptrdiff_t>(n * Z), Z,
                best.log_var.begin() + static_cast<std::ptrdiff_t>(n * Z));
  }
  return best;
}

void finish_gap(const PosteriorValues& of_encoder, const PosteriorValues& of_best,
                const AnnealedEvaluation& annealed, GapEvaluation& gap) {
  gap.log_px = annealed.log_px_of_datum;
  gap.elbo = of_encoder.elbo;
  gap.elbo_best = of_best.elbo;
  gap.bound_best = of_best.log_px;
  gap.annealed = annealed.weights_of_datum;
  gap.count = annealed.count;
  gap.acceptance = annealed.acceptance;
  gap.mean_log_px = estimate(gap.log_px);
  gap.mean_elbo = estimate(gap.elbo);
  gap.mean_elbo_best = estimate(gap.elbo_best);
  gap.mean_bound_best = estimate(gap.bound_best);
  gap.gap = estimate(difference(gap.log_px, gap.elbo));
  gap.approximation = estimate(difference(gap.log_px, gap.elbo_best));
  gap.amortisation = estimate(difference(gap.elbo_best, gap.elbo));
  gap.log_px_sampling = summarize(gap.annealed).sampling_error;
  gap.elbo_sampling = of_mean(of_encoder.elbo_error);
  gap.best_sampling = of_mean(of_best.elbo_error);
  gap.gap_sampling = std::hypot(gap.log_px_sampling, gap.elbo_sampling);
  gap.approximation_sampling = std::hypot(gap.log_px_sampling, gap.best_sampling);
  // The two share their noise, which makes this more than it is.
  gap.amortisation_sampling = std::hypot(gap.elbo_sampling, gap.best_sampling);
}

}  // namespace felbo::detail
