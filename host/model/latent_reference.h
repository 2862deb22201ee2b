// The latent variables by their definitions: z, its densities and its KL for every posterior and prior, in a
// scalar T, which is double or one that keeps account of its derivatives. Sizes are small where this is used,
// so nothing is shared between rows.
#pragma once

#include <algorithm>
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
#include "kernels/normal_cdf/normal_cdf_reference.h"
#include "kernels/planar_flow/planar_flow_reference.h"

namespace felbo::reference {

/// All that latent variables depend on: the encoder's output (B, E), its answers to pseudo-inputs (K, 2 Z),
/// and the flat parameters.
template <class T>
struct LatentPointOf {
  std::vector<T> posterior, pseudo, parameters;
};
using LatentPoint = LatentPointOf<double>;

template <class T>
struct LatentTermsOf {
  std::vector<T> z, code;         // (B S, Z); the code is what the decoder reads of z
  std::vector<T> kl;              // (B) in closed form where there is one, else by the samples
  std::vector<T> log_pz, log_qz;  // (B S)
  std::vector<int> clamped;       // (B) log-variances beyond the bounds
};
using LatentTerms = LatentTermsOf<double>;

/// One z with log q(z|x).
template <class T>
struct LatentSample {
  std::vector<T> z;
  T log_q = 0;
};

/// eps as a T; one that keeps account of errors has its own.
template <class T>
T normal_as(const NoiseStream& noise, std::uint32_t datum, std::uint32_t sample, std::uint32_t element) {
  return static_cast<T>(normal(noise.seed, noise.step.get(), static_cast<std::uint32_t>(noise.purpose), datum,
                               sample, element));
}

class LatentReference {
 public:
  /// Row b belongs to datum[b]. `vae` must outlive this object.
  LatentReference(const Vae& vae, const NoiseStream& noise, std::vector<std::uint32_t> datum, int samples)
      : vae_(vae),
        noise_(noise),
        datum_(std::move(datum)),
        samples_(samples),
        Z_(static_cast<int>(vae.config().latent)) {}

  template <class T = double>
  T eps(int b, int s, int d) const {
    return normal_as<T>(noise_, datum_[static_cast<std::size_t>(b)], static_cast<std::uint32_t>(s),
                        static_cast<std::uint32_t>(d));
  }

  template <class T>
  LatentTermsOf<T> terms(const LatentPointOf<T>& p) const {
    const auto E = static_cast<std::size_t>(vae_.config().posterior.outputs(Z_));
    const Mixture<T> prior = prior_of(p);
    LatentTermsOf<T> t;
    for (int b = 0; b < static_cast<int>(datum_.size()); ++b) {
      const T* row = p.posterior.data() + static_cast<std::size_t>(b) * E;
      T by_samples = 0;
      for (int s = 0; s < samples_; ++s) {
        const LatentSample<T> drawn = sample(row, b, s);
        const T log_p = mixture_log_density(prior, drawn.z.data());
        t.log_pz.push_back(log_p);
        t.log_qz.push_back(drawn.log_q);
        by_samples += (drawn.log_q - log_p) / T(samples_);
        const std::vector<T> code = code_of(drawn.z);
        t.z.insert(t.z.end(), drawn.z.begin(), drawn.z.end());
        t.code.insert(t.code.end(), code.begin(), code.end());
      }
      t.kl.push_back(by_samples);
      if (has_closed_kl(vae_.config().posterior.family, vae_.config().prior.family)) {
        t.kl.back() = T(0);
        for (const T& of_dimension : closed_kl(row, prior)) t.kl.back() += of_dimension;
      }
      t.clamped.push_back(clamped(row));
    }
    return t;
  }

  /// Of dimension d, clamped.
  template <class T>
  T log_var(const T* row, int d) const {
    return std::clamp(raw_log_var(row, d), T(vae_.config().clamp.lo), T(vae_.config().clamp.hi));
  }

  /// A Gaussian, or the mixture, as which the prior stands.
  template <class T = double>
  Mixture<T> prior_of(const LatentPointOf<T>& p) const {
    return prior_from(prior_numbers(p));
  }
  /// What a prior that is not standard depends on, one after another: means, log-variances and logits of its
  /// components, or the pseudo-inputs' (K, 2 Z).
  template <class T>
  std::vector<T> prior_numbers(const LatentPointOf<T>& p) const {
    if (vae_.config().prior.family == PriorFamily::kVamp) return p.pseudo;
    std::vector<T> numbers;
    for (const ParameterEntry& e : prior_entries())
      numbers.insert(numbers.end(), p.parameters.begin() + e.offset,
                     p.parameters.begin() + e.offset + e.size);
    return numbers;
  }
  /// The learned prior's parameters that prior_numbers() lists, in this order; none of a VampPrior.
  std::vector<ParameterEntry> prior_entries() const {
    std::vector<ParameterEntry> entries;
    for (const char* name : {"prior.mu", "prior.log_var", "prior.logit"}) {
      for (const ParameterEntry& e : vae_.table().entries())
        if (e.name == name) entries.push_back(e);
    }
    return entries;
  }
  template <class T>
  Mixture<T> prior_from(const std::vector<T>& numbers) const {
    const Prior& prior = vae_.config().prior;
    const auto Z = static_cast<std::size_t>(Z_);
    if (prior.is_standard()) return {std::vector<T>(Z, T(0)), std::vector<T>(Z, T(0)), {}, 1, Z, T(0), T(0)};
    const std::size_t K = prior.is_mixture() ? static_cast<std::size_t>(prior.components) : 1;
    Mixture<T> m{{}, {}, {}, K, Z, T(vae_.config().clamp.lo), T(vae_.config().clamp.hi)};
    const bool vamp = prior.family == PriorFamily::kVamp;
    for (std::size_t k = 0; k < K; ++k) {
      const auto mu = numbers.begin() + static_cast<std::int64_t>(vamp ? 2 * k * Z : k * Z);
      const auto log_var = mu + static_cast<std::int64_t>(vamp ? Z : K * Z);
      m.mu.insert(m.mu.end(), mu, mu + Z_);
      m.log_var.insert(m.log_var.end(), log_var, log_var + Z_);
    }
    if (prior.family == PriorFamily::kMixture)
      m.logit.assign(numbers.begin() + static_cast<std::int64_t>(2 * K * Z), numbers.end());
    return m;
  }

  /// Sample s of row b, which holds the encoder's output.
  template <class T>
  LatentSample<T> sample(const T* row, int b, int s) const {
    using std::exp, std::log;
    LatentSample<T> out;
    for (int d = 0; d < Z_; ++d) {
      const T e = eps<T>(b, s, d), v = log_var(row, d);
      out.z.push_back(row[d] + exp(v / T(2)) * e);
      out.log_q -= (log(T(2) * std::numbers::pi_v<T>) + v + e * e) / T(2);
    }
    const Posterior& posterior = vae_.config().posterior;
    const T* more = row + 2 * Z_;
    if (posterior.family == PosteriorFamily::kFullCovarianceGaussian) {
      for (int i = 0; i < Z_; ++i) {
        for (int j = 0; j < i; ++j) out.z[static_cast<std::size_t>(i)] += *more++ * eps<T>(b, s, j);
      }
    }
    if (posterior.family != PosteriorFamily::kPlanarFlow) return out;
    const int steps = posterior.flow_steps;
    const auto flown =
        planar_flow<T>({more, more + steps * (2 * Z_ + 1)}, out.z, {out.log_q}, 1, 1, Z_, steps);
    return {flown.z, flown.log_q[0]};
  }

  /// What the decoder reads of z.
  template <class T>
  std::vector<T> code_of(std::vector<T> z) const {
    if (vae_.config().prior.family == PriorFamily::kUniform) {
      for (T& value : z) value = normal_cdf(value);
    }
    return z;
  }

  /// What each dimension adds to the KL, (Z), from the covariance L L^T (or its diagonal) and the prior's
  /// diagonal one.
  template <class T>
  std::vector<T> closed_kl(const T* row, const Mixture<T>& prior) const {
    using std::exp;
    std::vector<T> kl;
    const T* more = row + 2 * Z_;
    for (int d = 0; d < Z_; ++d) {
      const auto at = static_cast<std::size_t>(d);
      const T v = log_var(row, d), pv = std::clamp(prior.log_var[at], prior.lo, prior.hi),
              away = row[d] - prior.mu[at];
      T variance = exp(v);
      if (vae_.config().posterior.family == PosteriorFamily::kFullCovarianceGaussian) {
        for (int j = 0; j < d; ++j, ++more) variance += *more * *more;
      }
      kl.push_back((variance / exp(pv) + away * away / exp(pv) - T(1) + pv - v) / T(2));
    }
    return kl;
  }

 private:
  template <class T>
  const T& raw_log_var(const T* row, int d) const {
    return vae_.config().posterior.family == PosteriorFamily::kIsotropicGaussian ? row[Z_] : row[Z_ + d];
  }
  template <class T>
  int clamped(const T* row) const {
    const LogVarClamp& bounds = vae_.config().clamp;
    int count = 0;
    for (int d = 0; d < Z_; ++d)
      count += raw_log_var(row, d) < T(bounds.lo) || raw_log_var(row, d) > T(bounds.hi);
    return count;
  }

  const Vae& vae_;
  NoiseStream noise_;
  std::vector<std::uint32_t> datum_;
  int samples_, Z_;
};

}  // namespace felbo::reference
