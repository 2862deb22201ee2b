// Several stochastic layers by their definition, in double: h1 ... hL of each sample, log p(h1, ..., hL) and
// log q(h1, ..., hL|x). Networks are found by the names of their parameters alone.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/model/vae.h"
#include "kernels/conditional_gaussian/conditional_gaussian_reference.h"
#include "kernels/dense/dense_reference.h"
#include "kernels/noise/noise_reference.h"

namespace felbo::reference {

/// What a perceptron makes of one row.
inline std::vector<double> perceptron(const Vae& vae, const std::vector<double>& flat,
                                      const std::string& name, std::vector<double> x) {
  const auto find = [&](const std::string& tensor) -> const ParameterEntry* {
    for (const ParameterEntry& entry : vae.table().entries()) {
      if (entry.name == tensor) return &entry;
    }
    return nullptr;
  };
  for (int l = 0;; ++l) {
    const std::string layer = name + "." + std::to_string(l) + ".";
    const ParameterEntry* weight = find(layer + "weight");
    if (weight == nullptr) {
      if (l == 0) throw std::logic_error("no parameters of " + name);
      return x;
    }
    const bool last = find(name + "." + std::to_string(l + 1) + ".weight") == nullptr;
    const auto values = [&](const ParameterEntry& entry) {
      return std::vector<double>(flat.begin() + entry.offset, flat.begin() + entry.offset + entry.size);
    };
    x = affine(x, values(*weight), values(*find(layer + "bias")), 1, static_cast<int>(weight->shape[0]),
               static_cast<int>(weight->shape[1]))
            .value;
    if (last) continue;
    for (double& value : x) value = activation(vae.config().activation, value);
  }
}

/// The mean and the log-variance that a network gives.
struct GaussianRow {
  std::vector<double> mu, log_var;

  explicit GaussianRow(const std::vector<double>& both)
      : mu(both.begin(), both.begin() + static_cast<std::int64_t>(both.size() / 2)),
        log_var(both.begin() + static_cast<std::int64_t>(both.size() / 2), both.end()) {}
};

struct LayeredSample {
  std::vector<double> h1;
  double log_p = 0, log_q = 0;
  int clamped = 0;  // log-variances beyond the bounds, of layers above the first and of p(h_{l-1}|h_l)
};

/// Purposes of the noise of h1 and of h2, h3, ..., as docs/notation.md numbers them.
struct LayerPurposes {
  std::uint32_t first, above;
};
inline constexpr LayerPurposes kTrainingLayers{3, 32}, kHeldOutLayers{5, 40};

/// Sample `sample` of datum `datum` from q(h1|x), which `posterior` gives, upwards.
inline LayeredSample layered_sample(const Vae& vae, const std::vector<double>& flat,
                                    const std::vector<double>& posterior, std::uint64_t seed,
                                    std::uint32_t step, LayerPurposes purposes, std::uint32_t datum,
                                    std::uint32_t sample) {
  const double lo = vae.config().clamp.lo, hi = vae.config().clamp.hi;
  const auto noise = [&](std::uint32_t purpose, std::size_t count) {
    std::vector<double> eps;
    for (std::size_t d = 0; d < count; ++d)
      eps.push_back(normal(seed, step, purpose, datum, sample, static_cast<std::uint32_t>(d)));
    return eps;
  };
  LayeredSample out;
  const auto count_clamped = [&](const GaussianRow& g) {
    for (const double v : g.log_var) out.clamped += v < lo || v > hi;
  };
  const GaussianRow first(posterior);
  auto drawn =
      conditional_draw<double>(first.mu, first.log_var, noise(purposes.first, first.mu.size()), lo, hi);
  out.h1 = drawn.z;
  out.log_q = drawn.log_q;
  const std::size_t layers = vae.config().above.size() + 1;
  for (std::size_t l = 2; l <= layers; ++l) {
    const std::vector<double> below = drawn.z;
    const GaussianRow q(perceptron(vae, flat, "encoder" + std::to_string(l), below));
    count_clamped(q);
    const auto purpose = purposes.above + static_cast<std::uint32_t>(l - 2);
    drawn = conditional_draw<double>(q.mu, q.log_var, noise(purpose, q.mu.size()), lo, hi);
    out.log_q += drawn.log_q;
    const GaussianRow p(perceptron(vae, flat, "decoder" + std::to_string(l), drawn.z));
    count_clamped(p);
    out.log_p += diagonal_gaussian_log_density<double>(below, p.mu, p.log_var, lo, hi);
  }
  out.log_p += drawn.log_standard;
  return out;
}

}  // namespace felbo::reference
