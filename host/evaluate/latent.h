// What the latent dimensions carry: the KL of each, and whether the code moves with the data at all.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "host/model/vae.h"
#include "kernels/common/log_var_clamp.h"

namespace felbo {

/// A unit is active if Var(E_q[z|x]) over the data exceeds this (Burda, Grosse and Salakhutdinov, ICLR 2016,
/// section 5.2 and appendix C).
inline constexpr double kActiveVariance = 0.01;

struct LatentDiagnostics {
  std::vector<double> kl;  // (Z) KL(q(z_d|x) || p(z_d)), nats, mean over data; they sum to the KL. Empty
                           // where the KL is no such sum: unless q couples no dimensions and p is standard
  std::vector<double> variance_of_mean;  // (Z) of E_q[z_d|x] over the data, divisor N - 1; NaN for one datum.
                                         // Empty for a flow, whose mean is not known

  /// Dimensions that are active, and those that have collapsed: the code says the same of every datum. Of one
  /// datum neither can be said.
  std::int64_t active() const;
  std::vector<std::int64_t> collapsed() const;
};

/// Rows of [mu (Z) | log_var (Z)] from an encoder's output, rows of [mu (Z) | log_var | the rest]: the
/// log_var of an isotropic posterior is repeated.
std::vector<float> means_and_log_vars(const VaeConfig& config, std::vector<float> posteriors);

/// Sums over data as they come.
class LatentSums {
 public:
  LatentSums(std::int64_t latent, const LogVarClamp& clamp);

  /// Rows of [mu (Z) | log_var (Z)], as an encoder gives them.
  void add(std::span<const float> posteriors);
  LatentDiagnostics diagnose() const;

 private:
  std::size_t latent_;
  LogVarClamp clamp_;
  std::int64_t count_ = 0;
  std::vector<double> kl_, mean_, squares_;  // sums of the KL; running mean of mu and sum of squares about it
};

}  // namespace felbo
