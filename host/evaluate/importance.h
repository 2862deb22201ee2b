// Can an importance-weighted estimate be believed? What the weights of one datum say about the log of their
// mean, log p(x) ~ log 1/K sum_k w_k, w = p(x, z) / q(z|x), z ~ q(z|x).
//
//   standard error   of the log of the mean, by the delta method: sqrt((mean w^2 / (mean w)^2 - 1) / (K - 1))
//   effective        samples (sum w)^2 / sum w^2 (Kong 1992): as many equal weights would do as well
//   k-hat            shape of a generalised Pareto distribution fitted to the M = min(K / 5, 3 sqrt K)
//                    largest weights by the method of Zhang and Stephens (Technometrics 51, 2009) with a weak
//                    prior (Vehtari, Simpson, Gelman, Yao and Gabry, "Pareto smoothed importance sampling",
//                    JMLR 25, 2024). Weights have 1 / k finite moments: beyond 1/2 no variance, so standard
//                    error and effective samples promise too much; beyond 0.7 no number of samples that one
//                    can afford settles the mean.
#pragma once

#include <cstdint>
#include <vector>

namespace felbo {

/// k-hat above which the paper calls an estimate unreliable however many samples there are.
inline constexpr double kReliableKHat = 0.7;
/// Fewer samples leave fewer than 5 in the tail, to which no k-hat can be fitted.
inline constexpr std::int64_t kFewestSamplesForKHat = 21;

/// M of K samples, at least 1.
std::int64_t tail_length(std::int64_t samples);

/// Each is NaN where it is not defined: for a weight that is NaN or infinite, if all are 0, the standard
/// error of one sample, the k-hat of too few.
struct WeightDiagnostics {
  double standard_error = 0.0;  // nats
  double effective_samples = 0.0;
  double k_hat = 0.0;  // -infinity where the tail's weights are equal up to the rounding of floats
};

/// The weights of one datum as they come. Memory: the M + 1 largest, thus 3 sqrt(K) numbers.
class WeightTail {
 public:
  /// For `samples` = K weights in all. Throws std::invalid_argument unless K >= 1.
  explicit WeightTail(std::int64_t samples);

  void add(double log_w);
  /// Of the weights so far, which should be K.
  WeightDiagnostics diagnose() const;

 private:
  std::size_t keep_;          // M + 1
  std::vector<double> heap_;  // the largest log-weights, the least of them in front
  std::int64_t count_ = 0;
  double max_ = 0.0, sum_ = 0.0, squares_ = 0.0;  // of exp(log_w - max)
};

/// k-hat of excesses over a threshold: `x` ascending, all positive or 0, at least 5. NaN if more than a
/// quarter of them are 0.
double fit_pareto_shape(const std::vector<double>& x);

/// The weights of all data in a few figures.
struct WeightSummary {
  std::int64_t unreliable = 0;    // data whose k-hat is above kReliableKHat or not a number
  double k_hat_median = 0.0;      // NaN where there are no k-hats
  double effective_median = 0.0;  // of effective samples
  double effective_least = 0.0;
  double sampling_error = 0.0;      // standard error of the mean of log p(x) over data that comes from the
                                    // samples of z alone
  std::vector<std::int64_t> worst;  // up to 10 unreliable data, the largest k-hat first
};
WeightSummary summarize(const std::vector<WeightDiagnostics>& of_datum);

}  // namespace felbo
