// The latent variables by their definitions, in double: z, its densities and its KL for every posterior and
// prior. Sizes are small there, so nothing is shared between rows.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "host/model/vae.h"
#include "kernels/common/noise_stream.h"
#include "kernels/mixture_prior/mixture_prior_reference.h"
#include "kernels/noise/noise_reference.h"
#include "kernels/planar_flow/planar_flow_reference.h"

namespace felbo::reference {

/// All that latent variables depend on: the encoder's output (B, E), its answers to pseudo-inputs (K, 2 Z),
/// and the flat parameters.
struct LatentPoint {
  std::vector<double> posterior, pseudo, parameters;
};

struct LatentTerms {
  std::vector<double> code;            // (B S, Z) what the decoder reads
  std::vector<double> kl;              // (B) in closed form where there is one, else by the samples
  std::vector<double> log_pz, log_qz;  // (B S)
};

class LatentReference {
 public:
  /// Row b belongs to datum[b]. `vae` must outlive this object.
  LatentReference(const Vae& vae, const NoiseStream& noise, std::vector<std::uint32_t> datum, int samples)
      : vae_(vae),
        noise_(noise),
        datum_(std::move(datum)),
        samples_(samples),
        Z_(static_cast<int>(vae.config().latent)) {}

  double eps(int b, int s, int d) const {
    return normal(noise_.seed, noise_.step.get(), static_cast<std::uint32_t>(noise_.purpose),
                  datum_[static_cast<std::size_t>(b)], static_cast<std::uint32_t>(s),
                  static_cast<std::uint32_t>(d));
  }

  LatentTerms terms(const LatentPoint& p) const {
    const VaeConfig& c = vae_.config();
    const auto E = static_cast<std::size_t>(c.posterior.outputs(Z_));
    const Mixture<double> prior = prior_of(p);
    LatentTerms t;
    for (int b = 0; b < static_cast<int>(datum_.size()); ++b) {
      const double* row = p.posterior.data() + static_cast<std::size_t>(b) * E;
      double by_samples = 0;
      for (int s = 0; s < samples_; ++s) {
        double log_q = 0;
        const std::vector<double> z = sample(row, b, s, log_q);
        const double log_p = mixture_log_density(prior, z.data());
        t.log_pz.push_back(log_p);
        t.log_qz.push_back(log_q);
        by_samples += (log_q - log_p) / samples_;
        for (const double value : z)
          t.code.push_back(c.prior.family == PriorFamily::kUniform ? std::erfc(-value / std::sqrt(2.0)) / 2
                                                                   : value);
      }
      const bool closed = has_closed_kl(c.posterior.family, c.prior.family);
      t.kl.push_back(closed ? closed_kl(row, prior) : by_samples);
    }
    return t;
  }

  double log_var(const double* row, int d) const {
    return vae_.config().posterior.family == PosteriorFamily::kIsotropicGaussian ? row[Z_] : row[Z_ + d];
  }

  /// A Gaussian, or the mixture, as which the prior stands.
  Mixture<double> prior_of(const LatentPoint& p) const {
    Mixture<double> m{std::vector<double>(std::size_t(Z_)),
                      std::vector<double>(std::size_t(Z_)),
                      {},
                      1,
                      std::size_t(Z_),
                      -20,
                      20};
    const PriorFamily family = vae_.config().prior.family;
    if (vae_.config().prior.is_standard()) return m;
    m.components = family == PriorFamily::kDiagonalGaussian ? 1 : std::size_t(vae_.config().prior.components);
    if (family == PriorFamily::kVamp) {
      m.mu.clear(), m.log_var.clear();
      for (std::size_t k = 0; k < m.components; ++k) {
        const auto at = p.pseudo.begin() + std::int64_t(k) * 2 * Z_;
        m.mu.insert(m.mu.end(), at, at + Z_);
        m.log_var.insert(m.log_var.end(), at + Z_, at + 2 * Z_);
      }
      return m;
    }
    m.mu = entry(p, "prior.mu");
    m.log_var = entry(p, "prior.log_var");
    if (family == PriorFamily::kMixture) m.logit = entry(p, "prior.logit");
    return m;
  }

 private:
  std::vector<double> entry(const LatentPoint& p, const std::string& name) const {
    for (const ParameterEntry& e : vae_.table().entries()) {
      if (e.name == name) return {p.parameters.begin() + e.offset, p.parameters.begin() + e.offset + e.size};
    }
    throw std::logic_error(name);
  }

  std::vector<double> sample(const double* row, int b, int s, double& log_q) const {
    std::vector<double> z;
    for (int d = 0; d < Z_; ++d) {
      const double e = eps(b, s, d), v = log_var(row, d);
      z.push_back(row[d] + std::exp(v / 2) * e);
      log_q -= (std::log(2 * std::numbers::pi) + v + e * e) / 2;
    }
    const Posterior& posterior = vae_.config().posterior;
    const double* more = row + 2 * Z_;
    if (posterior.family == PosteriorFamily::kFullCovarianceGaussian) {
      for (int i = 0; i < Z_; ++i) {
        for (int j = 0; j < i; ++j) z[std::size_t(i)] += *more++ * eps(b, s, j);
      }
    }
    if (posterior.family == PosteriorFamily::kPlanarFlow) {
      const int T = posterior.flow_steps;
      const auto flown = planar_flow<double>({more, more + T * (2 * Z_ + 1)}, z, {log_q}, 1, 1, Z_, T);
      log_q = flown.log_q[0];
      return flown.z;
    }
    return z;
  }

  /// From the covariance L L^T (or its diagonal) and the prior's diagonal one.
  double closed_kl(const double* row, const Mixture<double>& prior) const {
    double kl = 0;
    const double* more = row + 2 * Z_;
    for (int d = 0; d < Z_; ++d) {
      const double v = log_var(row, d), m = prior.mu[std::size_t(d)], pv = prior.log_var[std::size_t(d)];
      double variance = std::exp(v);
      if (vae_.config().posterior.family == PosteriorFamily::kFullCovarianceGaussian) {
        for (int j = 0; j < d; ++j, ++more) variance += *more * *more;
      }
      kl += (variance / std::exp(pv) + (row[d] - m) * (row[d] - m) / std::exp(pv) - 1 + pv - v) / 2;
    }
    return kl;
  }

  const Vae& vae_;
  NoiseStream noise_;
  std::vector<std::uint32_t> datum_;
  int samples_, Z_;
};

}  // namespace felbo::reference
