// A mixture of Gaussians, fitted by expectation maximisation (Dempster, Laird and Rubin, J. R. Stat. Soc. B
// 39, 1977): a density for codes z where the prior is a poor one, so that new data can be drawn from the
// region that the data's codes fill (Ghosh, Sajjadi, Vergari, Black and Schoelkopf, "From variational to
// deterministic autoencoders", ICLR 2020, section 4).
#pragma once

#include <cstdint>
#include <vector>

#include "host/exec/cpu_exec.h"
#include "kernels/common/view.h"

namespace felbo {

enum class MixtureCovariance { kDiagonal, kFull };

/// sum_m weight_m N(mean_m, covariance_m), of M components over Z dimensions.
struct FittedMixture {
  std::int64_t dimensions = 0;     // Z
  std::vector<double> weight;      // (M) they sum to 1
  std::vector<double> mean;        // (M, Z)
  std::vector<double> covariance;  // (M, Z, Z), positive definite

  std::int64_t components() const { return static_cast<std::int64_t>(weight.size()); }
};

struct MixtureOptions {
  std::int64_t components = 10;
  MixtureCovariance covariance = MixtureCovariance::kFull;
  std::uint64_t seed = 0;   // of where the fit begins
  int iterations = 200;     // at most
  double tolerance = 1e-4;  // stop when an iteration raises the mean log-likelihood by less, nats a point
};

struct MixtureFit {
  FittedMixture mixture;
  /// Mean log density of the points before each iteration and after the last, nats a point. It never falls
  /// but where components were dropped.
  std::vector<double> log_likelihood;
  bool converged = false;    // by the tolerance, not by the number of iterations
  std::int64_t dropped = 0;  // components that ended with too few points for a covariance, or began without
};

/// The least variance that a component may have in any direction, as a share of the points' variance averaged
/// over dimensions: without a bound the likelihood is infinite where a component sits on a single point.
inline constexpr double kLeastMixtureVariance = 1e-6;

/// Fits to `points` (N, Z), in double. It begins with the centres of k-means++ (Arthur and Vassilvitskii,
/// SODA 2007) and the points nearest to each. An iteration maximises the likelihood's lower bound with
/// covariances held to kLeastMixtureVariance and above, which their eigenvalues (variances, if diagonal)
/// being raised to it does exactly; so the likelihood never falls. A component whose share of the points
/// comes to less than 2 of them (Z + 1 with a full covariance) is dropped, unless it is the last. The result
/// does not depend on the number of threads.
///
/// Throws std::invalid_argument if components or iterations are not positive, there are fewer points than
/// components, one is not finite (named), or all are the same.
MixtureFit fit_mixture(const CpuExec& exec, View<const float, 2> points, const MixtureOptions& options);

/// log density of each point (N, Z), nats: (N).
std::vector<double> log_density(const CpuExec& exec, const FittedMixture& mixture,
                                View<const float, 2> points);

/// `count` draws, (count, Z); draw i depends on (seed, i) alone.
std::vector<float> draw_mixture(const CpuExec& exec, const FittedMixture& mixture, std::int64_t count,
                                std::uint64_t seed);

}  // namespace felbo
