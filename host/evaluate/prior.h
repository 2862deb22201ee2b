// Draws from a prior that was learned.
#pragma once

#include <cmath>
#include <vector>

#include "host/model/mlp.h"
#include "host/model/vae.h"
#include "kernels/common/noise_stream.h"

namespace felbo {

/// A mixture of diagonal Gaussians on the host.
struct LearnedPrior {
  std::int64_t components = 0, latent = 0;
  std::vector<float> mu, log_var;  // (K, Z), log_var clamped
  std::vector<double> share;       // (K) they sum to 1
};

/// From parameters on the host: `pseudo` (K, 2 Z) is what the encoder makes of a VampPrior's pseudo-inputs.
/// Throws std::invalid_argument if the prior is not learned.
LearnedPrior learned_prior(const Vae& vae, View<const float, 1> parameters, const std::vector<float>& pseudo);

/// The same from an Exec's memory.
template <class Exec>
LearnedPrior learned_prior(const Exec& exec, const Vae& vae, View<const float, 1> parameters) {
  const std::vector<float> host = to_host(exec, parameters);
  std::vector<float> pseudo;
  const std::int64_t K = vae.pseudo_rows();
  if (K > 0) {
    const MlpWorkspace<Exec> work(exec, vae.encoder(), K, false);
    const View<const float, 1> inputs = vae.pseudo_inputs(parameters);
    forward(exec, vae.encoder(), parameters, vae.table(),
            View<const float, 2>(inputs.data, K, vae.config().dimensions), work);
    pseudo = to_host(exec, View<const float, 1>{work.result(vae.encoder(), K).data, K * vae.encoder().out()});
  }
  return learned_prior(vae, {host.data(), static_cast<std::int64_t>(host.size())}, pseudo);
}

/// Turns standard normals (N, Z) into draws from the prior: row i takes a component by the words of datum i,
/// sample 1 of `noise`.
void place_in_components(const LearnedPrior& prior, const NoiseStream& noise, std::vector<float>& eps);

}  // namespace felbo
